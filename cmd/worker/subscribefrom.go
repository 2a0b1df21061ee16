package main

import (
	"fmt"
	"regexp"
	"time"

	"github.com/tidemill/tidemill/pubsub"
)

// position is a message's place in a durable topic, as it is printed.
var position = regexp.MustCompile(`^[0-9]{1,20}-[0-9]{1,20}$`)

// parseStart reads --from.
func parseStart(text string, now time.Time) (pubsub.Start, error) {
	switch {
	case text == "start":
		return pubsub.FromStart, nil
	case text == "now":
		return pubsub.FromNow, nil
	case position.MatchString(text):
		return pubsub.FromPosition(text), nil
	}
	t, err := parseMoment(text, now)
	if err != nil {
		return pubsub.Start{}, fmt.Errorf("%q: want start, now, a position such as 1700000000000-0, or a time: 2h or 3d (ago), or RFC 3339 such as 2027-01-31T08:00:00Z", text)
	}
	if t.After(now) {
		return pubsub.Start{}, fmt.Errorf("%q is to come: want a time that has passed, or now", text)
	}
	return pubsub.FromTime(t), nil
}
