package queue_test

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// messageOfDocument is the one that docs/protocol.md has in hex.
var messageOfDocument = wire.Message{ID: uuid.MustParse("0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f"), Time: 1700000000_123456,
	Meta: map[string]string{"k": "v"}, Data: []byte(`{"to":"ann"}`)}

func TestProtocolMessage(t *testing.T) {
	pinned(t, "example of a message", "(?s)```message\n([0-9a-f]*)\n```", hex.EncodeToString(messageOfDocument.Append(nil)))
	plain := wire.Message{ID: messageOfDocument.ID, Time: messageOfDocument.Time, Data: messageOfDocument.Data}
	b := plain.Append(nil)
	offsets := []string{}
	for _, row := range rows(t, "| byte | length | what of a message |") {
		offsets = append(offsets, row[0]+":"+row[1])
	}
	if want := "0:1 1:1 2:1 3:16 19:8 27:"; strings.Join(offsets, " ") != want || wire.MessageOverhead != 27 {
		t.Errorf("the table has %q and the code %d bytes before the data", offsets, wire.MessageOverhead)
	}
	if b[0] != 0xF7 || b[1] != 1 || b[2] != 0 || string(b[3:19]) != string(plain.ID[:]) || string(b[27:]) != string(plain.Data) {
		t.Errorf("a message is % x", b)
	}
	// What the document calls a foreign message.
	for name, change := range map[string]func(b []byte){
		"a newer version": func(b []byte) { b[1] = 2 }, "another flag": func(b []byte) { b[2] = 2 }, "another mark": func(b []byte) { b[0] = '{' },
		"a negative time": func(b []byte) { b[19] = 0x80 },
	} {
		other := plain.Append(nil)
		change(other)
		if m := wire.DecodeMessage(other); m.ID != uuid.Nil || m.Time != 0 || string(m.Data) != string(other) {
			t.Errorf("%s is read as %+v", name, m)
		}
	}
	if m := wire.DecodeMessage([]byte(`{"to":"ann"}`)); m.ID != uuid.Nil || string(m.Data) != `{"to":"ann"}` {
		t.Errorf("JSON without an envelope is read as %+v", m)
	}
}

func TestProtocolTopicKeys(t *testing.T) {
	space, err := keys.NewSpace("tm")
	if err != nil {
		t.Fatal(err)
	}
	topic, err := space.Topic("t")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{space.Topics(), topic.Stream(), topic.About(), topic.Members("g"), topic.Crashed("g"), topic.GivenUp("g")}
	var got []string
	for _, row := range rows(t, "| key | type | holds |") {
		got = append(got, row[0])
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the document has %q, the code %q", got, want)
	}
	for _, text := range []string{fmt.Sprintf("`PUBLISH %s n`", topic.Hints()), fmt.Sprintf("XADD %s * m <payload>", topic.Stream()), "1 to " + strconv.Itoa(255) + " bytes"} {
		if !strings.Contains(protocol(t), text) {
			t.Errorf("the document does not say %s", text)
		}
	}
}
