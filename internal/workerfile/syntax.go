package workerfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// syntaxFault says where the text stops being YAML, and why in words for people.
func syntaxFault(err error, text []byte) *Fault {
	var bad yaml.Error
	if !errors.As(err, &bad) {
		return &Fault{Text: "is not YAML: " + err.Error()}
	}
	said := bad.GetMessage()
	var at position
	if t := bad.GetToken(); t != nil && t.Position != nil {
		at = position{t.Position.Line, t.Position.Column}
	}
	why := ""
	switch tokens := tokensOf(text); {
	case strings.Contains(said, `'\t'`) || strings.Contains(said, "\t"):
		why = "a tab stands where spaces are wanted"
	case strings.Contains(said, "quoted text"):
		why = "the quote that begins here has no end"
	case at.line == 0:
	case bareVariable(tokens, at):
		why = "within { } put a variable in quotes: \"${NAME}\""
	default:
		if star, key := bareStar(tokens, text, at); key != "" {
			return &Fault{Line: star.line, Column: star.column, Text: fmt.Sprintf("is not YAML: a key that begins with * must be in quotes: write %q", key)}
		}
		if place, found := unbalanced(tokens, at); found != "" {
			at, why = place, found
		} else if _, closing, ok := strings.Cut(said, "',' or '"); ok { // balanced, so it is the comma
			why = fmt.Sprintf("a comma or a %.1s is missing before this", closing)
		}
	}
	if why == "" {
		why = said
	}
	return &Fault{Line: at.line, Column: at.column, Text: "is not YAML: " + why}
}

// tokensOf cuts a text into the pieces of YAML; none where the library chokes on it.
func tokensOf(text []byte) (list token.Tokens) {
	defer func() {
		if recover() != nil {
			list = nil
		}
	}()
	return lexer.Tokenize(string(text))
}

func positionOf(t *token.Token) position { return position{t.Position.Line, t.Position.Column} }

func (p position) before(q position) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

// bareVariable tells a ${NAME} without quotes within { or [, where YAML takes it for a mapping, in the line of a place.
func bareVariable(tokens token.Tokens, at position) bool {
	for i, t := range tokens[:max(len(tokens)-1, 0)] {
		next := tokens[i+1]
		if t.Position.Line == at.line && t.Type == token.StringType && strings.HasSuffix(t.Value, "$") && next.Type == token.MappingStartType &&
			next.Position.Line == at.line && next.Position.Offset == t.Position.Offset+len([]rune(t.Value)) {
			return true
		}
	}
	return false
}

// bareStar finds the key without quotes that begins with * and that the parser stumbled over: with quotes around it the
// parser gets further. YAML takes such a key for an alias.
func bareStar(tokens token.Tokens, text []byte, at position) (position, string) {
	var star *token.Token
	for _, t := range tokens {
		if at.before(positionOf(t)) {
			break
		}
		if t.Type == token.AliasType {
			star = t
		}
	}
	if star == nil {
		return position{}, ""
	}
	place := positionOf(star)
	line := []rune(nthLine(text, place.line))
	if place.column > len(line) {
		return position{}, ""
	}
	rest := string(line[place.column-1:])
	end := strings.Index(rest+" ", ": ")
	if end < 0 {
		return position{}, ""
	}
	key := strings.TrimSpace(rest[:end])
	if !strings.HasPrefix(key, "*") || strings.ContainsAny(key, " \t,[]{}\"'#") {
		return position{}, ""
	}
	lines := bytes.Split(text, []byte("\n"))
	lines[place.line-1] = []byte(string(line[:place.column-1]) + `"` + key + `"` + rest[len(key):])
	_, err := parseYAML(bytes.Join(lines, []byte("\n")))
	var bad yaml.Error
	if errors.As(err, &bad) {
		t := bad.GetToken()
		if t == nil || t.Position == nil || !at.before(position{t.Position.Line, t.Position.Column - 2}) { // the quotes moved it by two
			return position{}, ""
		}
	}
	return place, key
}

// unbalanced finds the { or [ that is not closed, or the } or ] that closes nothing, where the parser stopped at a place.
func unbalanced(tokens token.Tokens, at position) (position, string) {
	var open []*token.Token
	suspect := -1 // how many are open where the parser stopped
	var first *token.Token
	for _, t := range tokens {
		if suspect < 0 && !positionOf(t).before(at) {
			suspect = len(open)
			if suspect > 0 {
				first = open[suspect-1]
			}
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			open = append(open, t)
		case token.MappingEndType, token.SequenceEndType:
			n := len(open)
			switch {
			case n > 0 && closer(open[n-1]) == t.Value:
				open = open[:n-1]
			case n > 1 && closer(open[n-2]) == t.Value:
				return positionOf(open[n-1]), fmt.Sprintf("this %s is not closed: a %s is missing before the %s in line %d, column %d",
					open[n-1].Value, closer(open[n-1]), t.Value, t.Position.Line, t.Position.Column)
			default:
				return positionOf(t), fmt.Sprintf("this %s closes nothing", t.Value)
			}
		case token.StringType: // outside of { and [ the library takes a closing one for a text
			if len(open) == 0 && positionOf(t) == at && (t.Value[:min(1, len(t.Value))] == "}" || t.Value[:min(1, len(t.Value))] == "]") {
				return at, fmt.Sprintf("this %.1s closes nothing", t.Value)
			}
		}
	}
	if len(open) == 0 {
		return position{}, ""
	}
	guilty := open[len(open)-1]
	for _, t := range open { // the one that the parser was in, if that stayed open
		if t == first || positionOf(t) == at {
			guilty = t
		}
	}
	return positionOf(guilty), fmt.Sprintf("this %s is not closed: a %s is missing", guilty.Value, closer(guilty))
}

// closer is what closes an opening { or [.
func closer(t *token.Token) string {
	if t.Type == token.MappingStartType {
		return "}"
	}
	return "]"
}

func nthLine(text []byte, n int) string {
	for range n - 1 {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r")))
}
