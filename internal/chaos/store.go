package chaos

import (
	"cmp"
	"slices"
)

// Effect is what one attempt wrote elsewhere.
type Effect struct {
	Name  string
	Token int64 // of its claim
	At    int64 // us
}

// Store is an outside store as handlers should use one: it keeps the effect of the highest token that it has seen of
// each job, and refuses lower ones.
type Store struct {
	standing map[string]int64
	Refused  int // effects of lower tokens, that came late
	Replaced int // effects that a higher token overwrote
}

// Replay gives a store effects in the order in which they were written.
func Replay(effects []Effect) *Store {
	effects = slices.Clone(effects)
	slices.SortStableFunc(effects, func(a, b Effect) int { return cmp.Compare(a.At, b.At) })
	s := &Store{standing: make(map[string]int64)}
	for _, e := range effects {
		switch had, known := s.standing[e.Name]; {
		case known && e.Token < had:
			s.Refused++
			continue
		case known:
			s.Replaced++
		}
		s.standing[e.Name] = e.Token
	}
	return s
}

// Standing is the token of the effect that stands; 0 is none.
func (s *Store) Standing(name string) int64 { return s.standing[name] }

// Len is how many effects stand.
func (s *Store) Len() int { return len(s.standing) }
