package codec

import (
	"bytes"
	"encoding/json"
	"sync"
)

// scratch is a buffer with an encoder onto it: what json.Marshal answers, without an allocation for each.
type scratch struct {
	bytes.Buffer
	enc *json.Encoder
}

var scratches = sync.Pool{New: func() any {
	s := &scratch{}
	s.enc = json.NewEncoder(s)
	return s
}}

// maxScratch is what a pooled buffer may hold on to, in bytes.
const maxScratch = 64 << 10

// Append is Marshal behind dst; with an error, dst is answered as it was.
func (JSON) Append(dst []byte, v any) ([]byte, error) {
	s := scratches.Get().(*scratch)
	s.Reset()
	if err := s.enc.Encode(v); err != nil { // an Encoder whose writer failed is spoilt, but this one's does not
		return dst, err
	}
	dst = append(dst, s.Bytes()[:s.Len()-1]...) // without the newline
	if s.Cap() <= maxScratch {
		scratches.Put(s)
	}
	return dst, nil
}
