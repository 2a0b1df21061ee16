package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/worker"
)

const queuesForm = "want NAME or NAME=WEIGHT, separated by commas, such as critical=6,default=3"

// queuesValue is the flag --queues. Given several times, the lists are put together.
type queuesValue struct{ list []worker.Queue }

func (v *queuesValue) Type() string { return "queues" }

func (v *queuesValue) String() string {
	parts := make([]string, len(v.list))
	for i, q := range v.list {
		parts[i] = fmt.Sprintf("%s=%d", q.Name, q.Weight)
	}
	return strings.Join(parts, ",")
}

func (v *queuesValue) Set(text string) error {
	for _, part := range strings.Split(text, ",") {
		q, err := parseQueue(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		for _, other := range v.list {
			if other.Name == q.Name {
				return fmt.Errorf("queue %q is given twice", q.Name)
			}
		}
		v.list = append(v.list, q)
	}
	return nil
}

// maxWeight is the largest weight that package worker takes.
const maxWeight = 1000

func parseQueue(text string) (worker.Queue, error) {
	name, weight, weighted := strings.Cut(text, "=")
	if name == "" {
		return worker.Queue{}, fmt.Errorf("a queue without a name; %s", queuesForm)
	}
	if _, err := (keys.Space{}).Queue(name); err != nil {
		return worker.Queue{}, err
	}
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !weighted && isNumber(name[i+1:]) {
		return worker.Queue{}, fmt.Errorf("queue %q: weights are written %s=%s; a queue that is named so goes into worker.yaml", name, name[:i], name[i+1:])
	}
	q := worker.Queue{Name: name, Weight: 1}
	if weighted {
		n, err := strconv.Atoi(weight)
		if err != nil || n < 1 || n > maxWeight {
			return q, fmt.Errorf("weight %q of queue %q: allowed: 1 to %d; %s", weight, name, maxWeight, queuesForm)
		}
		q.Weight = n
	}
	return q, nil
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
