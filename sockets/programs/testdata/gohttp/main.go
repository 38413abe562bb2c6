// Gohttp is a web server and its client, by the standard library alone: built without cgo it is a static program, which no library
// can be loaded into. Its listener asks for MPTCP, as Go's do by default.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"syscall"
	"time"
)

func main() {
	usage := "usage: gohttp server ADDRESS | client ADDRESS CLOSED-ADDRESS same|other"
	if len(os.Args) < 3 {
		check(errors.New(usage))
	}
	switch os.Args[1] {
	case "server":
		check(serve(os.Args[2]))
	case "client":
		if len(os.Args) != 5 {
			check(errors.New(usage))
		}
		check(client(os.Args[2], os.Args[3], os.Args[4] == "same"))
		fmt.Println("all as it must be")
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(at string) error {
	ln, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	http.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	http.HandleFunc("/hash", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		fmt.Fprintf(w, "%x", h.Sum(nil))
	})
	http.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		tcp := conn.(*net.TCPConn)
		tcp.SetLinger(0)
		tcp.Close()
	})
	http.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	fmt.Println("listening on", ln.Addr())
	return http.Serve(ln, nil)
}

// client asks the server all that it can answer; same says that the server must see the client's own address.
func client(at, closed string, same bool) error {
	base := "http://" + at
	return errors.Join(
		many(base),
		who(base, same),
		hash(base),
		wantError("an aborted connection", get(base+"/abort"), syscall.ECONNRESET),
		wantError("a request that hangs", hang(base), context.DeadlineExceeded),
		wantError("a closed port", get("http://"+closed), syscall.ECONNREFUSED))
}

func get(url string) error {
	r, err := http.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

func wantError(what string, err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("%s: got error %v, want %v", what, err, want)
}

func hang(base string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/hang", nil)
	if err != nil {
		return err
	}
	_, err = http.DefaultClient.Do(r)
	return err
}

// many sends 500 requests, 50 at a time, over connections that are kept and used again.
func many(base string) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}}
	defer client.CloseIdleConnections()
	errs := make([]error, 50)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() {
			for range 10 {
				r, err := client.Get(base + "/who")
				if err != nil {
					errs[i] = err
					return
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// who compares the address of the client as both ends name it.
func who(base string, same bool) error {
	var local string
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { local = i.Conn.LocalAddr().String() },
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/who", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	seen, err := io.ReadAll(answer.Body)
	if err == nil && same && string(seen) != local {
		err = fmt.Errorf("the server says that the client is %s, the client that it is %s", seen, local)
	}
	return err
}

// hash sends 10 MB and compares what arrived.
func hash(base string) error {
	body := bytes.Repeat([]byte("0123456789"), 1e6)
	r, err := http.Post(base+"/hash", "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if want := fmt.Sprintf("%x", sha256.Sum256(body)); err == nil && string(got) != want {
		err = fmt.Errorf("hash of the body is %s, want %s", got, want)
	}
	return err
}
