package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	findpython "github.com/tidemill/tidemill/bench/internal/python"
	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/bench/internal/watermill"
)

// measureNames lists the measures in the order of the tables.
var measureNames = []string{"live", "durable", "fanout", "idle", "slow"}

// steps are what a child can be told to do.
var steps = map[string]rig.StepFunc{
	"publish": rig.Step(publishStep),
	"listen":  rig.Step(listenStep),
	"fanout":  rig.Step(fanoutStep),
	"slow":    rig.Step(slowStep),
	"fill":    rig.Step(fillStep),
	"consume": rig.Step(consumeStep),
	"idle":    rig.Step(idleStep),
}

// plan is what the flags say, for the rig. The first column of a measure is the base of its ratios.
func (c config) plan(ctx context.Context) rig.Plan {
	p := rig.Plan{Runs: c.Runs, Within: c.Within, Config: c, JSON: c.JSON, Versions: map[string]string{
		"go-redis":  rig.ModuleVersion("github.com/redis/go-redis/v9"),
		"watermill": rig.ModuleVersion(watermill.Module),
		"tidemill":  rig.ModuleVersion("github.com/tidemill/tidemill"),
	}}
	live := []string{"go-redis", "tidemill", "tidemill-stdjson", "tidemill-raw"}
	python, versions, err := findpython.Find(ctx, c.Python)
	if err == nil {
		live = append([]string{"python"}, live...)
		p.Versions["python"] = versions
	} else if slices.Contains(c.Measures, "live") {
		p.Remarks = append(p.Remarks, "left out: python: "+err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(p.Versions)) {
		p.Header = append(p.Header, name+": "+p.Versions[name])
	}
	p.Header = append(p.Header, fmt.Sprintf("live=%d durable=%d fanout=%d subs=%d slow=%d samples=%d",
		c.Live, c.Durable, c.Fanout, c.Subs, c.Slow, c.Samples))
	all := map[string]rig.Measure{
		"live":    {Columns: live, Limit: limit(c.Live, 20_000), Run: c.live(python)},
		"durable": {Columns: []string{"watermill", "tidemill"}, Limit: limit(c.Durable, 1_000), Run: c.durable},
		"fanout":  {Columns: []string{"tidemill"}, Limit: limit(c.Fanout*c.Subs, 100_000), Run: c.fanout},
		"idle":    {Columns: []string{"go-redis", "tidemill", "watermill", "tidemill-durable"}, Limit: limit(c.Samples, 50), Run: c.idle},
		"slow":    {Columns: []string{slowWithout, slowWith}, Limit: limit(c.Slow, 2_000), Run: c.slow},
	}
	for _, name := range measureNames {
		if slices.Contains(c.Measures, name) {
			m := all[name]
			m.Name = name
			p.Measures = append(p.Measures, m)
		}
	}
	return p
}

// limit is the time for n things, of which no system does fewer a second than rate.
func limit(n, rate int) time.Duration {
	return time.Minute + time.Duration(n)*time.Second/time.Duration(rate)
}

func (c config) durable(ctx context.Context, column string, b rig.Broker) ([]rig.Metric, error) {
	spec := durableSpec{System: column, Broker: b, N: c.Durable}
	filled, err := rig.Run(ctx, "fill", spec)
	if err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	consumed, err := rig.Run(ctx, "consume", spec)
	return append(consumed, filled...), err
}

func (c config) idle(ctx context.Context, column string, b rig.Broker) ([]rig.Metric, error) {
	return rig.Run(ctx, "idle", idleSpec{System: column, Broker: b, Samples: c.Samples})
}
