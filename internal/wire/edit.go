package wire

import (
	"fmt"
)

// Edited is an envelope with other args (nil = as they are) or another priority (negative = as it is). Everything else
// stays byte for byte, also body fields of numbers that this program does not know. The error is that of Decode: what
// cannot be read is not edited.
func Edited(b, args []byte, priority int) ([]byte, error) {
	var e Envelope
	if err := e.Decode(b); err != nil {
		return nil, err
	}
	if priority > MaxPriority {
		return nil, fmt.Errorf("priority %d; allowed: 0 to %d", priority, MaxPriority)
	}
	body, err := e.decodeHead(b)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(b)+len(args)+8)
	out = append(out, b[:len(b)-len(body)]...)
	if priority >= 0 {
		out[2] = byte(priority)
	}
	if args == nil {
		return append(out, body...), nil
	}
	for r := (reader{b: body}); ; {
		rest := r.b
		if !r.next() {
			break
		}
		if r.field != fieldArgs {
			out = append(out, rest[:len(rest)-len(r.b)]...)
		}
	}
	return appendBytes(out, fieldArgs, args), nil
}
