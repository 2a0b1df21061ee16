package queue

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/internal/broker"
)

// cursor is a place in a listing: a state's jobs, and where among them. As text it is one word of letters, digits, dots
// and dashes.
type cursor struct {
	state broker.State
	place broker.Place
}

// cursorVersion leads the text: the rest is ours to change.
const cursorVersion = "1"

// text writes the cursor. The queue's sum is in it, so that it is not used on another.
func (c cursor) text(queue string) string {
	return strings.Join([]string{cursorVersion + queueSum(queue), strings.ToLower(string(c.state)), strconv.Itoa(c.place.Priority),
		strconv.FormatInt(c.place.At, 10), hex.EncodeToString([]byte(c.place.Mark)), strconv.FormatInt(c.place.Last, 10)}, ".")
}

func queueSum(queue string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(queue))
	return fmt.Sprintf("%08x", h.Sum32())
}

// parseCursor reads a cursor of a listing of these states.
func parseCursor(text, queue string, states []broker.State) (cursor, error) {
	bad := func(why string) (cursor, error) {
		return cursor{}, invalid("cursor", fmt.Sprintf("%.80q", text), why)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 6 || !strings.HasPrefix(parts[0], cursorVersion) {
		return bad("what an earlier listing gave")
	}
	if parts[0] != cursorVersion+queueSum(queue) {
		return bad("one of a listing of queue " + queue)
	}
	c := cursor{state: broker.State(strings.ToUpper(parts[1]))}
	if !slices.Contains(states, c.state) {
		return bad("one of a listing of the same state")
	}
	var numbers [3]int64
	for i, at := range []int{2, 3, 5} {
		n, err := strconv.ParseInt(parts[at], 10, 64)
		if err != nil || n < 0 || n > maxScore {
			return bad("what an earlier listing gave")
		}
		numbers[i] = n
	}
	mark, err := hex.DecodeString(parts[4])
	if err != nil || len(mark) != 0 && len(mark) != 16 && len(mark) != 17 || numbers[0] > 9 {
		return bad("what an earlier listing gave")
	}
	if listed := c.state == broker.StateReady || c.state == broker.StateSuspect; listed && len(mark) > 0 && numbers[1] == 0 {
		return bad("what an earlier listing gave")
	}
	c.place = broker.Place{Priority: int(numbers[0]), At: numbers[1], Mark: string(mark), Last: numbers[2]}
	return c, nil
}

// maxScore is the largest number that Lua counts exactly.
const maxScore = 1 << 53
