package workerfile

import (
	"fmt"
	"strings"
)

// expand puts variables into a value: ${NAME}, ${NAME:-default} and $$ for a dollar sign. It works on values after the
// file was read, so that what a variable holds cannot change the file's structure. Lookup is like os.LookupEnv.
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			text = rest[1:]
		case strings.HasPrefix(rest, "{"):
			inside, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return "", fmt.Errorf("%.40q has no closing brace; allowed: %s", "$"+rest, expandForms)
			}
			value, err := variable(inside, lookup)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			text = after
		default:
			return "", fmt.Errorf("a $ stands alone; allowed: %s", expandForms)
		}
	}
}

const expandForms = "${NAME}, ${NAME:-default}, and $$ for a dollar sign"

// variable answers what stands for the inside of ${...}.
func variable(inside string, lookup func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(inside, ":-")
	if !isVariable(name) {
		return "", fmt.Errorf("%.60q is no name of a variable; allowed: %s", "${"+name+"}", expandForms)
	}
	if strings.Contains(fallback, "${") { // it would end at the inner one's brace
		return "", fmt.Errorf("the default of %s holds a ${, and a default is plain text; allowed: %s", name, expandForms)
	}
	value, set := lookup(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !set:
		return "", fmt.Errorf("the variable %s is not set; set it, or write ${%s:-default}", name, name)
	}
	return value, nil
}

// isVariable tells a name that shells allow for a variable.
func isVariable(name string) bool {
	for i, r := range name {
		if !(r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return name != ""
}
