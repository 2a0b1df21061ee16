package main

import "encoding/json"

// eachMember calls visit with every name and value of a JSON object, which must be valid. Values are parts of object.
// encoding/json would copy each value, and would not say that a name came twice.
func eachMember(object []byte, visit func(name, value []byte) error) error {
	at := skipSpace(object, 1) // behind {
	for object[at] != '}' {
		name := object[at:skipValue(object, at)]
		colon := skipSpace(object, at+len(name))
		start := skipSpace(object, colon+1)
		end := skipValue(object, start)
		if err := visit(unquote(name), object[start:end]); err != nil {
			return err
		}
		if at = skipSpace(object, end); object[at] == ',' {
			at = skipSpace(object, at+1)
		}
	}
	return nil
}

// unquote answers the text of a valid JSON string.
func unquote(quoted []byte) []byte {
	for _, b := range quoted {
		if b == '\\' {
			var text string
			_ = json.Unmarshal(quoted, &text) // valid, as the caller promises
			return []byte(text)
		}
	}
	return quoted[1 : len(quoted)-1]
}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\r' || b[at] == '\n') {
		at++
	}
	return at
}

// skipValue answers where the value that starts at a place ends.
func skipValue(b []byte, at int) int {
	depth := 0
	for {
		switch b[at] {
		case '"':
			at = skipString(b, at)
		case '{', '[':
			depth++
			at++
		case '}', ']':
			depth--
			at++
		case ',', ':', ' ', '\t', '\r', '\n': // within an object or array only
			at++
		default:
			at = skipScalar(b, at)
		}
		if depth == 0 {
			return at
		}
	}
}

func skipString(b []byte, at int) int {
	for at++; b[at] != '"'; at++ {
		if b[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// skipScalar passes a number, true, false or null.
func skipScalar(b []byte, at int) int {
	for at < len(b) {
		switch b[at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return at
		}
		at++
	}
	return at
}
