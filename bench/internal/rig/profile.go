package rig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
)

// profileVariable names the environment variable that has each child in Go write profiles of itself into a directory.
const profileVariable = "TIDEMILL_BENCH_PROFILE"

// ProfileInto has each step write a CPU and an allocation profile into a directory, and each measure what its Redis
// counted of commands. It slows all of them a little.
func ProfileInto(dir string) error {
	full, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(full, 0o755)
	}
	if err != nil {
		return err
	}
	return os.Setenv(profileVariable, full)
}

// profiled runs a step, with profiles if they are wanted.
func profiled(step string, run func() ([]Metric, error)) (metrics []Metric, err error) {
	dir := os.Getenv(profileVariable)
	if dir == "" {
		return run()
	}
	name := filepath.Join(dir, fmt.Sprintf("%s-%d", step, os.Getpid()))
	file, err := os.Create(name + ".cpu.pprof")
	if err != nil {
		return nil, err
	}
	runtime.MemProfileRate = 64 << 10
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	defer func() {
		pprof.StopCPUProfile()
		err = errors.Join(err, file.Close(), writeAllocations(name+".allocs.pprof"))
	}()
	return run()
}

func writeAllocations(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}

// keepCommands writes what a Redis counted of each command.
func keepCommands(ctx context.Context, b Broker, measure, column string) error {
	dir := os.Getenv(profileVariable)
	if dir == "" || b.Kind == Postgres {
		return nil
	}
	info, err := redisInfo(ctx, b.Addr, "commandstats")
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(info)) {
		fmt.Fprintf(&text, "%s:%s\n", name, info[name])
	}
	file := strings.ReplaceAll(measure+"-"+column, " ", "_") + ".commandstats.txt"
	return os.WriteFile(filepath.Join(dir, strings.ReplaceAll(file, "/", "_")), []byte(text.String()), 0o644)
}
