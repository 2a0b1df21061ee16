package bus

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redistest"
)

// counter is a Receiver that counts, and says when there were enough for the publisher to go on.
type counter struct {
	n    atomic.Int64
	each int64
	more chan struct{}
}

func (c *counter) Message(string, []byte) {
	if c.n.Add(1)%c.each == 0 {
		c.more <- struct{}{}
	}
}
func (c *counter) Missed(g Gap) { panic(g.Reason) }
func (c *counter) Ended(error)  {}

// BenchmarkRead is messages of 200 bytes from a flow-controlled publisher in the same process, which sends them in
// pipelines of 1,000 and is up to 16,000 ahead.
func BenchmarkRead(b *testing.B) {
	const size, batch, ahead = 200, 1000, 16
	srv := redistest.Server(b)
	set, err := conn.Open(b.Context(), srv.URL(), conn.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = set.Close() }()
	c := &counter{each: batch, more: make(chan struct{}, ahead+1)}
	for range ahead {
		c.more <- struct{}{}
	}
	if _, err := HubOf(set).Subscribe(b.Context(), Channel, "prices", c); err != nil {
		b.Fatal(err)
	}
	out, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	one := fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$6\r\nprices\r\n$%d\r\n%s\r\n", size, strings.Repeat("x", size))
	many := []byte(strings.Repeat(one, batch))
	go func() { _, _ = io.Copy(io.Discard, bufio.NewReaderSize(out, 64<<10)) }()
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	for sent := 0; sent < b.N; sent += batch {
		<-c.more
		if _, err := out.Write(many); err != nil {
			b.Fatal(err)
		}
	}
	for range ahead {
		<-c.more
	}
	b.StopTimer()
	b.ReportMetric(float64(c.n.Load())/b.Elapsed().Seconds(), "messages/s")
}
