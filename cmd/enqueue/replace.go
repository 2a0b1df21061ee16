package main

import (
	"errors"
	"os"
	"path/filepath"
)

// replaceFile writes a file in one step. Who was killed on the way left a part of it beside it, under a name of its own,
// which the next one writes over: no two may do so at a time.
func replaceFile(path string, text []byte) (err error) {
	if target, e := filepath.EvalSymlinks(path); e == nil {
		path = target // what the link leads to is meant
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func sizeOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
