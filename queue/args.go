package queue

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/tidemill/tidemill/internal/codec"
)

// Args is what a job carries: any type that names its kind and that the client's Codec can marshal. The kind is a name
// of your choosing, such as "image.resize": 1 to 128 bytes without spaces or control characters. A worker finds the
// handler by it.
type Args interface{ Kind() string }

// OlderKinds is implemented by args whose kind was renamed: a worker serves the older names too.
type OlderKinds interface{ OlderKinds() []string }

// Raw is a job without a Go type: its payload is sent and handed over as it is.
type Raw struct {
	Name    string // the kind
	Payload []byte // opaque; JSON unless the job's Encoding says otherwise
}

// Kind is Name.
func (r Raw) Kind() string { return r.Name }

// Codec turns args into bytes and back. Name is stored with each job unless it is "json"; a worker picks its codec by
// it. Implementations must be safe for concurrent use.
type Codec interface {
	Name() string
	Marshal(args any) ([]byte, error)
	Unmarshal(payload []byte, args any) error
}

// JSON is the default codec: the values, the bytes and the errors of encoding/json, whose reading it makes faster where a
// type allows it. Any other Codec may take its place, also one that calls encoding/json itself.
var JSON Codec = codec.JSON{}

// maxKindLen is the longest kind, in bytes.
const maxKindLen = 128

// CheckKind says what is wrong with a kind, or nil.
func CheckKind(kind string) error {
	if kind == "" || len(kind) > maxKindLen {
		return invalid("kind", fmt.Sprintf("%.140q", kind), fmt.Sprintf("1 to %d bytes", maxKindLen))
	}
	for _, r := range kind {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError {
			return invalid("kind", fmt.Sprintf("%q", kind), "text without spaces and control characters")
		}
	}
	return nil
}
