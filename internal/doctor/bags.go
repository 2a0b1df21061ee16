package doctor

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// mostItems is how many defects of one kind are remembered; the others wait for the next run.
const mostItems = 100_000

// item is one defect.
type item struct {
	key   string // what tells it from others, and from itself once it changed
	plan  string // what it is planned as: the key without what may change until it is mended
	text  string // for people
	id    uuid.UUID
	entry string
	at    []broker.Stand
	count broker.Number
	name  string // of a session, a key, a queue or a worker
	other string // what else is needed to mend it
}

func ofID(id uuid.UUID) *item {
	return &item{key: string(id[:]), plan: string(id[:]), text: id.String(), id: id}
}

func named(name string) *item { return &item{key: name, plan: name, text: name, name: name} }

// bag holds the defects of one kind.
type bag struct {
	items map[string]*item
	more  bool
}

// bags hold defects by check.
type bags map[string]*bag

func (b bags) add(check string, i *item) {
	one := b[check]
	if one == nil {
		one = &bag{items: make(map[string]*item)}
		b[check] = one
	}
	if _, known := one.items[i.key]; !known && len(one.items) >= mostItems {
		one.more = true
		return
	}
	one.items[i.key] = i
}

// overflow notes that there are more than can be remembered.
func (b bags) overflow(check string) {
	if one := b[check]; one != nil {
		one.more = true
	}
}

// both keeps what two rounds found. A kind of which there was more than was remembered need not be the same in both.
func (b bags) both(later bags) bags {
	out := make(bags)
	for check, one := range b {
		other := later[check]
		if other == nil {
			continue
		}
		for key := range one.items {
			if i, again := other.items[key]; again {
				out.add(check, i)
			}
		}
		if out[check] != nil {
			out[check].more = one.more || other.more
		}
	}
	return out
}

// planned keeps what was planned.
func (b bags) planned(p bags) bags {
	out := make(bags)
	for check, one := range b {
		if p[check] == nil {
			continue
		}
		of := make(map[string]bool, len(p[check].items))
		for _, i := range p[check].items {
			of[i.plan] = true
		}
		for _, i := range one.items {
			if of[i.plan] || p[check].more {
				out.add(check, i)
			}
		}
	}
	return out
}

// findings tells what is in the bags.
func (b bags) findings(queue string) (out []Finding) {
	for i := range vocabulary {
		w := &vocabulary[i]
		one := b[w.check]
		if one == nil {
			continue
		}
		f := Finding{Level: w.level, Check: w.check, Queue: queue, Count: int64(len(one.items)), More: one.more, Means: w.means, Repair: w.mend}
		many := ""
		if one.more {
			many = " or more"
		}
		f.Text = fmt.Sprintf("%s: %d%s", w.title, len(one.items), many)
		f.Examples = one.examples()
		out = append(out, f)
	}
	return out
}

// examples are the first ones in the order of their keys, so that two runs show the same.
func (b *bag) examples() []string {
	var first []*item
	for _, i := range b.items {
		at := len(first)
		for at > 0 && first[at-1].key > i.key {
			at--
		}
		if at < mostExamples {
			first = append(first[:at], append([]*item{i}, first[at:]...)...)
			first = first[:min(len(first), mostExamples)]
		}
	}
	texts := make([]string, len(first))
	for i := range first {
		texts[i] = first[i].text
	}
	return texts
}
