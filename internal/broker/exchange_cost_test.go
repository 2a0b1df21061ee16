package broker

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/script"
)

// answerOf is an exchange's reply with n jobs of 270 bytes, as a server sends it.
func answerOf(n int) []byte {
	ids, envelopes := "", []any{}
	for i := range n {
		id := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i))
		ids += string(id[:])
		envelopes = append(envelopes, fmt.Sprintf("%0270d", i))
	}
	return script.AppendRESP(nil, []any{"1800000000000000", "OK", int64(1), int64(0), "", int64(0), "1800000000000000", ids, envelopes, []any{}})
}

// exchangeOf acknowledges and wants n jobs.
func exchangeOf(t testing.TB, n int) *Exchange {
	space, err := keys.NewSpace("ns")
	if err != nil {
		t.Fatal(err)
	}
	q, err := space.Queue("q")
	if err != nil {
		t.Fatal(err)
	}
	x := &Exchange{Queue: q, Session: uuid.NewString(), Seq: 1000, Want: n, Bytes: 1 << 20, First: n, Done: make([]Claim, n), Room: make([]Claimed, n)}
	for i := range x.Done {
		x.Done[i] = Claim{ID: uuid.New(), Token: 1_800_000_000_000_000 + int64(i)}
	}
	return x
}

func readAnswer(t testing.TB, raw []byte, x *Exchange) {
	var out Exchanged
	if err := out.read(&reply{B: raw}, x); err != nil || len(out.Jobs) != len(x.Done) {
		t.Fatalf("%d jobs, %v", len(out.Jobs), err)
	}
}

// BenchmarkExchangeCall builds the call that acknowledges and claims 250 jobs, without sending it.
func BenchmarkExchangeCall(b *testing.B) {
	x := exchangeOf(b, 250)
	b.ReportAllocs()
	for b.Loop() {
		x.call()
	}
}

// BenchmarkExchangeReply reads an answer of 250 jobs.
func BenchmarkExchangeReply(b *testing.B) {
	x, raw := exchangeOf(b, 250), answerOf(250)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		readAnswer(b, raw, x)
	}
}

// A call and its answer allocate what one of them needs, not what each of its jobs does.
func TestExchangeAllocations(t *testing.T) {
	x, raw := exchangeOf(t, 250), answerOf(250)
	const callBudget, replyBudget = 42, 2 // measured: 38, 0
	if n := testing.AllocsPerRun(100, func() { x.call() }); n > callBudget {
		t.Errorf("a call of 250 jobs: %v allocations; allowed: %d", n, callBudget)
	}
	if n := testing.AllocsPerRun(100, func() { readAnswer(t, raw, x) }); n > replyBudget {
		t.Errorf("an answer of 250 jobs: %v allocations; allowed: %d", n, replyBudget)
	}
}
