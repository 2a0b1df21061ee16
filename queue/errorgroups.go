package queue

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ErrorGroup is the dead jobs that died of the same error.
type ErrorGroup struct {
	Error       string // the reason, with what differs from job to job (numbers, ids, quoted text) as "#" or "…"
	Count       int64
	First, Last time.Time // deaths
	Kinds       []string  // the first few, sorted
	Example     uuid.UUID // the one that died last
}

// Bounds of DeadByError's answer.
const (
	maxErrorGroups = 1000
	maxGroupKinds  = 20
	maxGroupText   = 300
)

// OtherErrors is the Error of the group of what did not fit into 1,000 groups.
const OtherErrors = "(others)"

// DeadByError groups the dead jobs that the options choose (State may be "" or DeadState) by the error they died of, the
// largest group first. It reads all of them, as List does; its answer is at most 1,000 groups, and one of the others.
func (c *Client) DeadByError(ctx context.Context, queue string, o ListOptions) ([]ErrorGroup, error) {
	if o.State == "" {
		o.State = DeadState
	}
	if o.State != DeadState {
		return nil, invalid("state", string(o.State), "dead")
	}
	groups := make(map[string]*ErrorGroup)
	for s, err := range c.List(ctx, queue, o) {
		if err != nil {
			return nil, err
		}
		text := OtherErrors
		if reason := masked(s); groups[reason] != nil || len(groups) < maxErrorGroups {
			text = reason
		}
		g := groups[text]
		if g == nil {
			g = &ErrorGroup{Error: text, First: s.EndedAt}
			groups[text] = g
		}
		g.add(s)
	}
	out := make([]ErrorGroup, 0, len(groups))
	for _, g := range groups {
		slices.Sort(g.Kinds)
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b ErrorGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), strings.Compare(a.Error, b.Error))
	})
	return out, nil
}

func (g *ErrorGroup) add(s *Snapshot) {
	g.Count++
	if s.EndedAt.Before(g.First) {
		g.First = s.EndedAt
	}
	if !s.EndedAt.Before(g.Last) {
		g.Last, g.Example = s.EndedAt, s.ID
	}
	if s.Kind != "" && len(g.Kinds) < maxGroupKinds && !slices.Contains(g.Kinds, s.Kind) {
		g.Kinds = append(g.Kinds, s.Kind)
	}
}

// masked is a job's reason with what is its own taken out.
func masked(s *Snapshot) string {
	text := s.Reason
	if text == "" && s.Corrupt != nil {
		text = s.Corrupt.Error()
	}
	if text == "" {
		return "(no reason)"
	}
	text = mask(text)
	if len(text) > maxGroupText {
		text = strings.ToValidUTF8(text[:maxGroupText], "") + "…"
	}
	return text
}

// mask takes what differs from job to job out of an error.
func mask(text string) string {
	text = quotedText.ReplaceAllString(text, "${1}${2}${3}…${1}${2}${3}")
	text = idText.ReplaceAllString(text, "#")
	text = amountText.ReplaceAllString(text, "#")
	var out strings.Builder
	end := 0
	for _, at := range wordText.FindAllStringIndex(text, -1) {
		word := text[at[0]:at[1]]
		out.WriteString(text[end:at[0]])
		if end = at[1]; !shortNumber.MatchString(word) || !beforeVerdict.MatchString(text[:at[0]]) {
			word = maskWord(word)
		}
		out.WriteString(word)
	}
	return numberText.ReplaceAllString(out.String()+text[end:], "#")
}

var (
	// A quote within a word is none: "can't open 'x'".
	quotedText = regexp.MustCompile(`(")(?:[^"\\]|\\.)*"|\B(')(?:[^'\\]|\\.)*'\B|(` + "`)[^`]*`")
	idText     = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b0x[0-9a-f]+\b`)
	wordText   = regexp.MustCompile(`[0-9A-Za-z]*[0-9][0-9A-Za-z]*`)
	hexText    = regexp.MustCompile(`^(?i)[0-9a-f]{7,}$`)
	amountText = regexp.MustCompile(`\b(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h|d|[KMGT]?i?B))+\b`)
	digits     = regexp.MustCompile(`[0-9]+`)
	numberText = regexp.MustCompile(`[-+]?#(?:[.,:/_-]?#)*`)
	// The number of an exit status or a signal is what went wrong, not whose job it was.
	shortNumber   = regexp.MustCompile(`^[0-9]{1,3}$`)
	beforeVerdict = regexp.MustCompile(`(?i)\b(?:exit (?:status|code)|signal):? $`)
)

// maskWord masks a word that holds a digit: all of an id or a hash, and the digits of others ("utf8", "s3").
func maskWord(word string) string {
	if hexText.MatchString(word) || len(word) >= 16 {
		return "#"
	}
	return digits.ReplaceAllString(word, "#")
}
