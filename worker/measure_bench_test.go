package worker

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// BenchmarkMeasure is what measuring adds to a job, and what it does where it is off.
func BenchmarkMeasure(b *testing.B) {
	for _, on := range []bool{false, true} {
		name := map[bool]string{false: "off", true: "on"}[on]
		b.Run(name, func(b *testing.B) {
			w := bench(b, Config{})
			if on {
				if err := w.Measure(50); err != nil {
					b.Fatal(err)
				}
			}
			r := &run{c: w.consumers[0], claim: broker.Claim{ID: uuid.New(), Token: 1}}
			t := w.task()
			t.of(r, time.Time{})
			t.e.Kind, t.route, t.called = "mail.send", &route{kind: "mail.send"}, true
			t.e.CreatedAt, t.since = time.Now().UnixMilli(), time.Now().UnixMilli()
			b.ReportAllocs()
			for b.Loop() {
				var o outcome
				t.note(&o)
				if o.note.series != nil {
					o.note.add(false)
				}
			}
		})
	}
}
