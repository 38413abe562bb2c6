package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"
)

// asProgram names the variable by which this program plays one of programs.
const asProgram = "QUIVER_LAYER_PROGRAM"

// programs are the small programs that are measured.
var programs = map[string]func(args []string) int{
	"try":     try,
	"echo":    echo,
	"sink":    sink,
	"connect": connect,
	"hold":    hold,
	"trap":    trap,
}

// try connects, and says by its status whether it could.
func try(args []string) int {
	c, err := net.DialTimeout("tcp", args[0], time.Second)
	if err != nil {
		return 1
	}
	c.Close()
	return 0
}

// echo sends back what comes.
func echo(args []string) int {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

// sink accepts and keeps.
func sink(args []string) int {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		if _, err := l.Accept(); err != nil {
			return 1
		}
	}
}

// connect measures so many connects, and as many round trips of a byte, and prints the medians in microseconds.
func connect(args []string) int {
	n, _ := strconv.Atoi(args[1])
	var made, there []time.Duration
	for range n {
		start := time.Now()
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		made = append(made, time.Since(start))
		start = time.Now()
		if _, err = c.Write([]byte("x")); err == nil {
			_, err = io.ReadFull(c, make([]byte, 1))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		there = append(there, time.Since(start))
		c.Close()
	}
	fmt.Println(micros(made), micros(there))
	return 0
}

// micros is the median.
func micros(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Nanoseconds()) / 1000
}

// hold makes so many connections, says so, and keeps them until its standard input ends.
func hold(args []string) int {
	n, _ := strconv.Atoi(args[1])
	for range n {
		if _, err := net.Dial("tcp", args[0]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
	return 0
}
