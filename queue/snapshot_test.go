package queue

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

const day = int64(24 * time.Hour / time.Millisecond)

func stored(e wire.Envelope, r *wire.State) *broker.Found {
	f := &broker.Found{Envelope: e.Append(nil)}
	if r != nil {
		f.Record, _ = r.Append(nil)
	}
	return f
}

func TestSnapshotStates(t *testing.T) {
	kept := wire.Envelope{Kind: "note", Args: []byte("x"), Retention: day, MaxAttempts: 25}
	const at = int64(1_900_000_000_123)
	for name, x := range map[string]struct {
		state  broker.State
		score  int64
		cancel int64
		record *wire.State
		want   Snapshot
	}{
		"ready":             {broker.StateReady, 0, 0, nil, Snapshot{State: Ready}},
		"ready after a try": {broker.StateReady, 0, 0, &wire.State{Attempts: 2}, Snapshot{State: Ready, Attempts: 2}},
		"suspect":           {broker.StateReady, 0, 0, &wire.State{Flags: wire.Suspect}, Snapshot{State: Suspect}},
		"scheduled":         {broker.StateScheduled, at, 0, nil, Snapshot{State: Scheduled, DueAt: time.UnixMilli(at)}},
		"running":           {broker.StateRunning, at * 1000, 0, nil, Snapshot{State: Running, StartedAt: time.UnixMilli(at)}},
		"running, another claim is to be cancelled": {broker.StateRunning, at * 1000, at*1000 - 1, nil,
			Snapshot{State: Running, StartedAt: time.UnixMilli(at)}},
		"cancelling": {broker.StateRunning, at * 1000, at * 1000, nil,
			Snapshot{State: Running, StartedAt: time.UnixMilli(at), Cancelling: true}},
		"dead of errors": {broker.StateDead, at, 0, &wire.State{Attempts: 1, Errors: []wire.Failure{{Attempt: 1, At: at, Error: "boom", Stack: "s"}}},
			Snapshot{State: DeadState, EndedAt: time.UnixMilli(at), Attempts: 1, Reason: "boom",
				Errors: []Failure{{Attempt: 1, At: time.UnixMilli(at), Error: "boom", Stack: "s"}}}},
		"dead of crashes": {broker.StateDead, at, 0, &wire.State{Flags: wire.Crashed, Crashes: 3},
			Snapshot{State: DeadState, EndedAt: time.UnixMilli(at), Reason: "crashed its worker 3 times"}},
		"dead without a word": {broker.StateDead, at, 0, nil, Snapshot{State: DeadState, EndedAt: time.UnixMilli(at)}},
		"succeeded": {broker.StateFinished, at + day, 0, &wire.State{StartedAt: at - 5, FinishedAt: at},
			Snapshot{State: Succeeded, StartedAt: time.UnixMilli(at - 5), EndedAt: time.UnixMilli(at), KeptUntil: time.UnixMilli(at + day)}},
		"cancelled": {broker.StateFinished, at + day, 0, &wire.State{Flags: wire.Cancelled},
			Snapshot{State: Cancelled, EndedAt: time.UnixMilli(at), KeptUntil: time.UnixMilli(at + day)}},
		"expired": {broker.StateFinished, at + day, 0, &wire.State{Flags: wire.Expired},
			Snapshot{State: Expired, EndedAt: time.UnixMilli(at), KeptUntil: time.UnixMilli(at + day)}},
	} {
		f := stored(kept, x.record)
		f.State, f.Score, f.Cancel, f.Result = x.state, x.score, x.cancel, []byte("r")
		got := snapshot("q", uuid.Max, f)
		if got.ID != uuid.Max || got.Queue != "q" || string(got.Payload) != "x" || string(got.Result) != "r" || got.Corrupt != nil {
			t.Errorf("%s: %+v", name, got)
		}
		got.Info, got.Payload, got.Result = Info{}, nil, nil
		if !reflect.DeepEqual(*got, x.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, *got, x.want)
		}
	}
}

func TestSnapshotInfo(t *testing.T) {
	e := wire.Envelope{Kind: "note", Key: "order 17", Priority: 4, MaxAttempts: 7, CreatedAt: 1000, Timeout: 1500, Deadline: 2000,
		ExpiresAt: 3000, Retention: 4000, Encoding: "shout", Meta: map[string]string{"a": "b"}}
	got := snapshot("q", uuid.Max, stored(e, &wire.State{Attempts: 2, Crashes: 1})).Info
	want := Info{ID: uuid.Max, Key: "order 17", Kind: "note", Queue: "q", Priority: 4, Attempt: 3, MaxAttempts: 7, Crashes: 1,
		CreatedAt: time.UnixMilli(1000), Timeout: 1500 * time.Millisecond, Deadline: time.UnixMilli(2000),
		ExpiresAt: time.UnixMilli(3000), Retention: 4 * time.Second, Encoding: "shout", Meta: map[string]string{"a": "b"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
	if bare := snapshot("q", uuid.Max, stored(wire.Envelope{Kind: "note"}, nil)).Info; !bare.CreatedAt.IsZero() || !bare.Deadline.IsZero() || !bare.ExpiresAt.IsZero() {
		t.Errorf("times that were never set: %+v", bare)
	}
}

// TestSnapshotOfGarbage: what cannot be read is said, and the rest is still shown.
func TestSnapshotOfGarbage(t *testing.T) {
	got := snapshot("q", uuid.Max, &broker.Found{State: broker.StateDead, Score: 5, Envelope: []byte("\xffgarbage"), Record: []byte{1}})
	if !errors.Is(got.Corrupt, wire.ErrNewer) || !errors.Is(got.Corrupt, wire.ErrCorrupt) {
		t.Errorf("corrupt: %v", got.Corrupt)
	}
	if got.State != DeadState || got.ID != uuid.Max || got.EndedAt != time.UnixMilli(5) {
		t.Errorf("%+v", got)
	}
}
