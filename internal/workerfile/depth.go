package workerfile

import "bytes"

// maxDepth bounds how deep brackets, and dashes on one line, may stand in each other: the parser's memory grows with its
// square, and no worker.yaml comes near.
const maxDepth = 100

// tooDeep finds where a text nests deeper than that, -1 if nowhere. Within quotes and comments nothing counts.
func tooDeep(text []byte) int {
	depth, at := 0, 0
	for line := range bytes.Lines(text) {
		var quote byte
		dashes := 0
		for i, c := range line {
			if quote == 0 && c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
				break
			}
			switch {
			case quote != 0:
				if c == quote && (quote == '\'' || line[i-1] != '\\') {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '[' || c == '{':
				depth++
			case c == ']' || c == '}':
				depth = max(depth-1, 0)
			case (c == '-' || c == '?') && i+1 < len(line) && line[i+1] == ' ':
				dashes++
			case c != ' ' && c != '\t':
				dashes = 0
			}
			if depth > maxDepth || dashes > maxDepth {
				return at + i
			}
		}
		at += len(line)
	}
	return -1
}
