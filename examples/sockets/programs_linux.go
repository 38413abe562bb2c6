package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The programs of the plays. They know TCP, as package net has it, and nothing
// else: whether it is TCP that they get is not theirs to know.
//
// asProgram is the first word of their command lines: they are this binary.
const asProgram = "program"

var programs = map[string]func(args []string) error{
	"counter": serveCounter, // ADDR
	"session": runSession,   // ADDR SILENCE
	"library": serveLibrary, // ADDR
	"fetch":   runFetch,     // ADDR CONNECTIONS BYTES
	"ticker":  serveTicker,  // ADDR EVERY COUNT
	"watch":   runWatch,     // ADDR CONNECTIONS EVERY
	"answer":  serveAnswer,  // ADDR
	"ask":     runAsk,       // ADDR BYTES
	"door":    serveDoor,    // ADDR NAME
	"knock":   runKnock,     // ADDR WORD
	"mux":     runMux,       // LISTEN ADDR
	"demux":   serveDemux,   // ADDR TARGET
}

func runProgram(name string, args []string) int {
	if err := programs[name](args); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// serve accepts connections for ever. Once it listens, it says so.
func serve(addr string, handle func(conn net.Conn)) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(listening, ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			handle(conn)
		}()
	}
}

// listening is what a server says when it does.
const listening = "listening at"

// serveCounter counts the lines of each connection.
func serveCounter(args []string) error {
	return serve(args[0], func(conn net.Conn) {
		lines := bufio.NewScanner(conn)
		for n := 1; lines.Scan(); n++ {
			fmt.Fprintf(conn, "%d from %v\n", n, conn.RemoteAddr())
		}
	})
}

// pause is between two lines of a session.
const pause = 20 * time.Millisecond

// runSession writes a line, waits for its number, and so on for ever. It gives up
// after a time of silence.
func runSession(args []string) error {
	silence, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	last := time.Now()
	for n := 1; ; n++ {
		conn.SetDeadline(time.Now().Add(silence))
		if _, err := fmt.Fprintf(conn, "line\n"); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("no answer for %v", silence)
		case err != nil:
			return err
		case !strings.HasPrefix(answer, strconv.Itoa(n)+" "):
			return fmt.Errorf("line %d is counted as %q", n, answer)
		}
		fmt.Printf("after %d ms: %s", time.Since(last).Milliseconds(), answer)
		time.Sleep(pause)
		last = time.Now()
	}
}

// serveLibrary sends as many bytes as it is asked for.
func serveLibrary(args []string) error {
	return serve(args[0], func(conn net.Conn) {
		var want uint32
		if binary.Read(conn, binary.BigEndian, &want) == nil {
			conn.Write(make([]byte, want))
		}
	})
}

// runFetch gets the same on many connections at once, and says how long each
// took.
func runFetch(args []string) error {
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	return together(args[1], func(int) ([]time.Duration, error) {
		begun := time.Now()
		conn, err := net.Dial("tcp", args[0])
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		if err := binary.Write(conn, binary.BigEndian, uint32(size)); err != nil {
			return nil, err
		}
		n, err := io.Copy(io.Discard, conn)
		if err == nil && int(n) != size {
			err = fmt.Errorf("got %d bytes, want %d", n, size)
		}
		return []time.Duration{time.Since(begun)}, err
	})
}

// together does the same many times at once and prints the times that come of it,
// in microseconds.
func together(count string, do func(i int) ([]time.Duration, error)) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	times, errs := make([][]time.Duration, n), make([]error, n)
	for i := range n {
		wg.Go(func() { times[i], errs[i] = do(i) })
	}
	wg.Wait()
	for _, list := range times {
		for _, t := range list {
			fmt.Println("took", t.Microseconds())
		}
	}
	return errors.Join(errs...)
}

// messageSize is that of a ticker's messages: the time at which it left, and
// what makes it as long as a line of a terminal or a small record.
const messageSize = 100

// serveTicker writes a message to each connection now and then, with the time at
// which it does. The first byte that it gets says how many hundredths of the
// interval to wait before the first.
func serveTicker(args []string) error {
	every, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	return serve(args[0], func(conn net.Conn) {
		var offset [1]byte
		if _, err := io.ReadFull(conn, offset[:]); err != nil {
			return
		}
		next := time.Now().Add(every * time.Duration(offset[0]) / 100)
		message := make([]byte, messageSize)
		for range count {
			time.Sleep(time.Until(next))
			next = next.Add(every)
			binary.BigEndian.PutUint64(message, uint64(time.Now().UnixNano()))
			if _, err := conn.Write(message); err != nil {
				return
			}
		}
	})
}

// runWatch reads the messages of many tickers, and says how long each was on its
// way. Both programs are on one machine, and have one clock.
func runWatch(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var all sync.WaitGroup // all are connected before the first message
	all.Add(n)
	return together(args[1], func(i int) (times []time.Duration, err error) {
		conn, err := net.Dial("tcp", args[0])
		all.Done()
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		all.Wait()
		if _, err := conn.Write([]byte{byte(100 * i / n)}); err != nil {
			return nil, err
		}
		message := make([]byte, messageSize)
		for {
			switch _, err := io.ReadFull(conn, message); {
			case err == io.EOF:
				return times, nil
			case err != nil:
				return nil, err
			}
			times = append(times, time.Duration(time.Now().UnixNano()-int64(binary.BigEndian.Uint64(message))))
		}
	})
}

// serveAnswer answers a line with a line.
func serveAnswer(args []string) error {
	return serve(args[0], func(conn net.Conn) {
		if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
			io.WriteString(conn, "here it is\n")
		}
	})
}

// runAsk asks with a line of so many bytes, and says how long it took from before
// it connected until the first byte of the answer.
func runAsk(args []string) error {
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	begun := time.Now()
	conn, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.Repeat("?", size-1)+"\n"); err != nil {
		return err
	}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return err
	}
	fmt.Println("took", time.Since(begun).Microseconds())
	return nil
}

// serveDoor asks for a word, and says who it is to everybody.
func serveDoor(args []string) error {
	return serve(args[0], func(conn net.Conn) {
		fmt.Fprintf(conn, "this is %s, the word?\n", args[1])
		word, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil {
			fmt.Fprintf(conn, "thank you for %s\n", strings.TrimSpace(word))
		}
	})
}

// runKnock says the word.
func runKnock(args []string) error {
	conn, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	greeting, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Fprintln(conn, args[1])
	thanks, err := r.ReadString('\n')
	fmt.Print(greeting, thanks)
	return err
}
