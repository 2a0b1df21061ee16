package wire

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

// The literals are uuid.uuid5(UUID('6f2d2d0a-0f5e-5b57-9d4b-7469646d696c'), "namespace\0queue\0text") in Python.
func TestKeyIDIsStable(t *testing.T) {
	for _, c := range []struct{ namespace, queue, text, want string }{
		{"tm", "mail", "order-42", "677eb27e-d154-5d43-9d1d-8506be8bcba6"},
		{"tm", "mail", "ünïcode ☃", "5ce20987-41f1-57dc-bd19-c11021f1c6b5"},
		{"acme", "mail", "order-42", "edba2c20-0c8b-54b9-bdc5-d91eb8d3600b"},
	} {
		id, key, err := KeyID(c.namespace, c.queue, c.text)
		if err != nil || id.String() != c.want || key != c.text {
			t.Errorf("KeyID(%q, %q, %q) = %v, %q, %v; want %s", c.namespace, c.queue, c.text, id, key, err, c.want)
		}
	}
}

func TestKeyIDTakesUUIDs(t *testing.T) {
	const text = "0198c5c7-0000-7000-8000-00000000abcd"
	for _, given := range []string{text, strings.ToUpper(text)} {
		id, key, err := KeyID("tm", "mail", given)
		if err != nil || key != "" || id != uuid.MustParse(text) {
			t.Errorf("%s: %v, %q, %v", given, id, key, err)
		}
	}
	for _, given := range []string{"{" + text + "}", "urn:uuid:" + text, strings.ReplaceAll(text, "-", ""), text[:35] + "x"} {
		id, key, err := KeyID("tm", "mail", given)
		if err != nil || key != given || id.Version() != 5 {
			t.Errorf("%s is no canonical UUID and so a text: %v, %q, %v", given, id, key, err)
		}
	}
}

func TestKeyIDRefuses(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("x", MaxKeyLen+1), uuid.Nil.String()} {
		if id, _, err := KeyID("tm", "mail", text); err == nil {
			t.Errorf("KeyID(%q) = %v", text, id)
		}
	}
	if _, _, err := KeyID("tm", "mail", strings.Repeat("x", MaxKeyLen)); err != nil {
		t.Error(err)
	}
}
