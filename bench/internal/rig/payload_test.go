package rig

import (
	"encoding/json"
	"testing"
)

func TestSized(t *testing.T) {
	for _, size := range []int{200, 1000, 20_000} {
		data, err := json.Marshal(Sized(12_345, size))
		if err != nil {
			t.Fatal(err)
		}
		if len(data) != size {
			t.Errorf("a payload of %d bytes has %d", size, len(data))
		}
	}
}
