package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/workerfile"
)

// changedHandlers tells which handlers came and went, and what differs in the others.
func changedHandlers(old, now *workerfile.File) []string {
	var list []string
	before, after := kindsOf(old), kindsOf(now)
	for _, kind := range after {
		if slices.Contains(before, kind) {
			list = append(list, workerfile.Changes(old, now, kind, inLog)...)
		} else {
			list = append(list, workerfile.Field("handlers", kind)+" is new")
		}
	}
	for _, kind := range before {
		if !slices.Contains(after, kind) {
			list = append(list, workerfile.Field("handlers", kind)+" is gone")
		}
	}
	return list
}

// newKinds are the kinds and patterns that no handler served before, not even one of a wider pattern.
func newKinds(old, now *workerfile.File) []string {
	var list []string
	before := kindsOf(old)
	for _, kind := range kindsOf(now) {
		if !slices.ContainsFunc(before, func(served string) bool { return covers(served, kind) }) {
			list = append(list, kind)
		}
	}
	return list
}

// covers tells whether a kind or pattern serves all that another does.
func covers(served, kind string) bool {
	prefix, pattern := strings.CutSuffix(served, "*")
	return served == kind || pattern && strings.HasPrefix(strings.TrimSuffix(kind, "*"), prefix)
}

func kindsOf(file *workerfile.File) []string {
	kinds := make([]string, len(file.Handlers))
	for i := range file.Handlers {
		kinds[i] = file.Handlers[i].Kind
	}
	return kinds
}

// inLog is a value of worker.yaml as the log tells it.
func inLog(value any) string {
	switch v := value.(type) {
	case time.Duration:
		return brief(v)
	case []string:
		return inWords(v)
	}
	return fmt.Sprint(value)
}
