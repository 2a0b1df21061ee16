package wire

// Names finds a job's kind and its caller's own id in an envelope, without reading the rest. They alias b, and are empty
// where it has none or cannot be read.
func Names(b []byte) (kind, key []byte) {
	var e Envelope
	body, err := e.decodeHead(b)
	if err != nil {
		return nil, nil
	}
	r := reader{b: body}
	for r.next() {
		switch r.field {
		case fieldKind:
			kind = r.bytes
		case fieldKey:
			key = r.bytes
		}
	}
	return kind, key
}
