package wire

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// MaxKeyLen is the longest text of a caller's own id, in bytes.
const MaxKeyLen = 256

// keySpace is the fixed UUID under which texts become ids (UUID version 5, RFC 9562).
var keySpace = uuid.MustParse("6f2d2d0a-0f5e-5b57-9d4b-7469646d696c")

// errNilID refuses the one id that stands for "no job" in a batch.
var errNilID = errors.New("id: the nil UUID names no job")

// KeyID turns a caller's own text into the job's id within a queue: the UUIDv5 of namespace NUL queue NUL text. A
// text that is a UUID in its canonical form is that UUID, and key is empty then.
func KeyID(namespace, queue, text string) (id uuid.UUID, key string, err error) {
	if len(text) == 36 {
		if id, err := uuid.Parse(text); err == nil {
			if id == uuid.Nil {
				return uuid.Nil, "", errNilID
			}
			return id, "", nil
		}
	}
	if text == "" || len(text) > MaxKeyLen {
		return uuid.Nil, "", fmt.Errorf("id: %.40q has %d bytes; allowed are 1 to %d", text, len(text), MaxKeyLen)
	}
	return uuid.NewSHA1(keySpace, []byte(namespace+"\x00"+queue+"\x00"+text)), text, nil
}
