package sockets

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// A process as /proc tells it.
type process struct {
	pid, ppid int
	state     byte // R, S, Z …
}

// processes lists those that this process can see.
func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			out = append(out, p)
		}
	}
	return out
}

// readProcess reads one, if it is there.
func readProcess(pid int) (process, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	// The name is in parentheses and may have any byte in it.
	end := bytes.LastIndexByte(stat, ')')
	p := process{pid: pid}
	if n, _ := fmt.Sscanf(string(stat[end+1:]), " %c %d", &p.state, &p.ppid); n != 2 {
		return process{}, false
	}
	return p, true
}

// descendants returns the processes below pid that live.
func descendants(pid int) []int {
	children := map[int][]process{}
	for _, p := range processes() {
		children[p.ppid] = append(children[p.ppid], p)
	}
	var out []int
	open := []int{pid}
	for len(open) > 0 {
		at := open[0]
		open = open[1:]
		for _, p := range children[at] {
			open = append(open, p.pid)
			if p.state != 'Z' {
				out = append(out, p.pid)
			}
		}
	}
	return out
}
