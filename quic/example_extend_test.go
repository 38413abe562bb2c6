package quic_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/quic"
)

// lossCounter counts lost packets.
type lossCounter struct{ lost int }

func (l *lossCounter) Info() *hook.Info {
	return &hook.Info{ID: "org.example.losses", Version: "1.0.0", Hooks: []hook.HookDecl{
		{Op: hook.OpPacketLost, Anchor: hook.After}, {Op: hook.OpAppCall, Anchor: hook.Replace},
	}}
}

func (l *lossCounter) Attach(hook.Conn, *hook.AttachState) error { return nil }
func (l *lossCounter) Detach(hook.DetachReason)                  {}
func (l *lossCounter) PacketLost(p *hook.PacketFate)             { l.lost++ }

func (l *lossCounter) AppCall(op uint32, in, out []byte) ([]byte, error) {
	return fmt.Appendf(out, "%d lost", l.lost), nil
}

// An extension is attached to a connection that runs, asked, and detached.
func ExampleConn_Attach() {
	client, _, stop := exampleConns()
	defer stop()
	if err := client.Attach(new(lossCounter), nil); err != nil {
		log.Fatal(err)
	}
	answer, err := client.CallExtension("org.example.losses", 1, nil)
	fmt.Println(string(answer), err)
	fmt.Println(client.Detach("org.example.losses"))
	// Output:
	// 0 lost <nil>
	// <nil>
}

// everywhere attaches a lossCounter to every connection, and takes no part in the exchange of plugins.
type everywhere struct{}

func (everywhere) Exchange() (accept, offer bool) { return false, false }

func (everywhere) Extend(c *quic.Conn) ([]quic.Attachment, quic.Extender, error) {
	return []quic.Attachment{{Extension: new(lossCounter)}}, nil, nil
}

func ExampleExtensions() {
	clientTLS, serverTLS := exampleTLS()
	ln, err := quic.ListenAddr("localhost:0", serverTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	conn, err := quic.DialAddr(context.Background(), ln.Addr().String(), clientTLS, &quic.Config{Extensions: everywhere{}})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	for _, x := range conn.ConnectionStats().Extensions {
		fmt.Println(x.ID, x.Version)
	}
	// Output: org.example.losses 1.0.0
}

func ExampleAttachment() {
	a := quic.Attachment{Extension: new(lossCounter)}
	fmt.Println(a.Extension.Info().ID, len(a.Config))
	// Output: org.example.losses 0
}

// refuser takes part in the exchange of plugins, and refuses all of them.
type refuser struct{ conn *quic.Conn }

func (refuser) Exchange() (accept, offer bool) { return true, false }

func (refuser) Extend(c *quic.Conn) ([]quic.Attachment, quic.Extender, error) {
	return nil, refuser{c}, nil
}

func (refuser) Resume([]hook.Offer) ([]hook.Extension, bool) { return nil, false }

func (r refuser) News(n *quic.ExtensionNews) {
	if n.Kind == quic.ExtensionOffered {
		r.conn.AnswerOffer(n.Local, hook.Answer{Status: hook.AnswerRefused, Reason: "no plugins here"})
	}
}

func ExampleExtender() {
	var x quic.Extensions = refuser{}
	accept, offer := x.Exchange()
	fmt.Println(accept, offer)
	// Output: true false
}

func ExampleExtensionNews() {
	n := quic.ExtensionNews{Kind: quic.ExtensionDetached, ID: "org.example.losses", Why: hook.DetachFault, Err: errors.New("ran out of fuel")}
	if n.Kind == quic.ExtensionDetached {
		fmt.Printf("%s: %v: %v\n", n.ID, n.Why, n.Err)
	}
	// Output: org.example.losses: plugin failed: ran out of fuel
}

func ExampleExtensionNewsKind() {
	fmt.Println(quic.ExtensionPeer == quic.ExtensionClosed)
	// Output: false
}

func ExampleAttachError() {
	client, _, stop := exampleConns()
	defer stop()
	client.Attach(new(lossCounter), nil)
	err := client.Attach(new(lossCounter), nil) // again
	var refused *quic.AttachError
	fmt.Println(errors.As(err, &refused))
	// Output: true
}
