package main

import (
	"slices"
	"testing"

	"github.com/tidemill/tidemill/internal/workerfile"
)

func TestNewKinds(t *testing.T) {
	file := func(kinds ...string) *workerfile.File {
		f := &workerfile.File{}
		for _, kind := range kinds {
			f.Handlers = append(f.Handlers, workerfile.Handler{Kind: kind})
		}
		return f
	}
	for _, tt := range []struct{ was, now, want []string }{
		{[]string{"a"}, []string{"a"}, nil},
		{[]string{"a"}, []string{"a", "b", "c*"}, []string{"b", "c*"}},
		{[]string{"a.*"}, []string{"a.b", "a.b.*", "a.", "a*", "a"}, []string{"a*", "a"}},
		{[]string{"*"}, []string{"a", "a.*"}, nil},
		{[]string{"a"}, []string{"*"}, []string{"*"}},
		{[]string{"a", "b"}, []string{"b"}, nil},
	} {
		if got := newKinds(file(tt.was...), file(tt.now...)); !slices.Equal(got, tt.want) {
			t.Errorf("%v after %v: %v, want %v", tt.now, tt.was, got, tt.want)
		}
	}
}
