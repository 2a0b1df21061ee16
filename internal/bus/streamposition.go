package bus

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Position is the place before the first message of a time, by the server's clock.
func Position(t time.Time) string {
	ms := t.UnixMilli()
	if ms <= 0 {
		return "0-0"
	}
	return strconv.FormatInt(ms-1, 10) + "-18446744073709551615"
}

// PositionTime is when a message came to its stream, by the server's clock; zero of no position.
func PositionTime(position string) time.Time {
	text, _, _ := strings.Cut(position, "-")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// positionParts takes a position apart.
func positionParts(position string) (ms, seq uint64) {
	a, b, _ := strings.Cut(position, "-")
	ms, _ = strconv.ParseUint(a, 10, 64)
	seq, _ = strconv.ParseUint(b, 10, 64)
	return ms, seq
}

func comparePositions(a, b string) int {
	ms, seq := positionParts(a)
	ms2, seq2 := positionParts(b)
	return cmp.Or(cmp.Compare(ms, ms2), cmp.Compare(seq, seq2))
}

// PositionBehind is the position right behind another; "" where there is none.
func PositionBehind(position string) string {
	ms, seq := positionParts(position)
	if seq++; seq == 0 {
		return ""
	}
	return strconv.FormatUint(ms, 10) + "-" + strconv.FormatUint(seq, 10)
}

// SortPositions puts positions into the order of their stream.
func SortPositions(all []string) { slices.SortFunc(all, comparePositions) }

// IsPosition tells a position of a stream.
func IsPosition(text string) bool {
	ms, seq, ok := strings.Cut(text, "-")
	_, err := strconv.ParseUint(ms, 10, 64)
	_, err2 := strconv.ParseUint(seq, 10, 64)
	return ok && err == nil && err2 == nil
}
