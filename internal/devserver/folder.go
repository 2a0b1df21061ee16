package devserver

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// maxFolders is how many servers may keep data at a time.
	maxFolders = 9
	// lockName is the file whose lock means that a folder is in use.
	lockName = "lock"
	// addressName is the file that says where the folder's server listens, while it runs.
	addressName = "address"
)

// errLocked means that another process uses the folder.
var errLocked = errors.New("in use")

// StateFolder is where servers keep their data: $XDG_STATE_HOME/tidemill/dev, or the system's usual place for such.
func StateFolder() (string, error) {
	// The XDG specification says to ignore a relative path.
	if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "tidemill", "dev"), nil
	}
	if local := os.Getenv("LocalAppData"); runtime.GOOS == "windows" && local != "" {
		return filepath.Join(local, "tidemill", "dev"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w, nor is $XDG_STATE_HOME", err)
	}
	return filepath.Join(home, ".local", "state", "tidemill", "dev"), nil
}

// folder is a folder that this process alone uses until release.
type folder struct {
	path  string
	notes []string
	lock  *os.File
}

// claim takes base, or the first free one of base-2, base-3 ... while another server uses it: two servers that append
// to one file would destroy it.
func claim(base string) (*folder, error) {
	var notes []string
	for i := 1; i <= maxFolders; i++ {
		path := base
		if i > 1 {
			path = fmt.Sprintf("%s-%d", base, i)
		}
		f, err := claimOne(path)
		if err == nil {
			f.notes = notes
			return f, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, err
		}
		notes = append(notes, fmt.Sprintf("%v, so it was left alone", err))
	}
	return nil, fmt.Errorf("%s and %d more beside it are all in use", base, maxFolders-1)
}

func claimOne(path string) (*folder, error) {
	// Jobs may hold anything: nobody else may read them.
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(lock); err != nil {
		_ = lock.Close()
		if errors.Is(err, errLocked) {
			err = fmt.Errorf("%s is %w by another worker dev", path, errLocked)
		}
		return nil, err
	}
	if addr, alive := orphan(path); alive {
		_ = lock.Close()
		return nil, fmt.Errorf("%s is %w by a server at %s that outlived its worker dev", path, errLocked, addr)
	}
	return &folder{path: path, lock: lock}, nil
}

// occupy notes where the folder's server listens.
func (f *folder) occupy(addr string) error {
	return os.WriteFile(filepath.Join(f.path, addressName), []byte(addr), 0o600)
}

// release gives the folder back once its server is gone.
func (f *folder) release() {
	_ = os.Remove(filepath.Join(f.path, addressName))
	_ = f.lock.Close() // which unlocks it
}

// orphan tells whether a server that nobody holds the lock for still works in the folder, and where. On systems whose
// kernel does not end it with its parent that is so after a kill -9.
func orphan(path string) (addr string, alive bool) {
	b, err := os.ReadFile(filepath.Join(path, addressName))
	if err != nil {
		return "", false
	}
	addr = strings.TrimSpace(string(b))
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", false
	}
	defer c.Close()
	if c.SetDeadline(time.Now().Add(time.Second)) != nil {
		return "", false
	}
	if _, err := c.Write([]byte("*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$3\r\ndir\r\n")); err != nil {
		return "", false
	}
	r := bufio.NewReader(c)
	var reply []string // *2, $3, dir, $n, the folder
	for range 5 {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", false // another program's port by now
		}
		reply = append(reply, strings.TrimRight(line, "\r\n"))
	}
	return addr, sameFolder(reply[4], path)
}

func sameFolder(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}
