package check

import (
	"slices"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

// word is one frame of the exchange of a plugin, and who sends it.
type word struct {
	from  kit.Side
	frame wire.Frame
}

var (
	wordOffer = word{kit.Server, wire.Frame{Type: wire.FramePluginOffer, Local: 1, Data: wire.AppendPluginOffer(nil, &wire.PluginOffer{
		ID: []byte("org.example.fec"), Version: []byte("1.0.0"), Size: 9000, Packed: 4000, Mode: 1, Frames: 2, TypeBase: uint64(wire.FramePlugin) + 0x80})}}
	wordNeed   = word{kit.Client, wire.Frame{Type: wire.FramePluginAnswer, Local: 1, Status: 1}}
	wordRefuse = word{kit.Client, wire.Frame{Type: wire.FramePluginAnswer, Local: 1, Status: 2, Code: 3, Data: []byte("unsigned")}}
	wordPart   = word{kit.Server, wire.Frame{Type: wire.FramePluginData, Local: 1, Data: []byte("half")}}
	wordRest   = word{kit.Server, wire.Frame{Type: wire.FramePluginData, Local: 1, Offset: 4, Data: []byte("other"), Fin: true}}
	wordMine   = word{kit.Server, wire.Frame{Type: wire.FramePluginReady, Local: 1}}
	wordYours  = word{kit.Client, wire.Frame{Type: wire.FramePluginReady, Local: 1}}
	wordUse    = word{kit.Server, wire.Frame{Type: wire.FramePlugin + 0x80, Data: []byte("symbol")}}
	wordOther  = word{kit.Server, wire.Frame{Type: wire.FramePlugin + 0x90, Data: []byte("symbol")}}
	wordDetach = word{kit.Client, wire.Frame{Type: wire.FramePluginDetach, Local: 1, Code: 3, Data: []byte("failed")}}

	wholeExchange = []word{wordOffer, wordNeed, wordPart, wordRest, wordMine, wordYours, wordUse, wordUse}
)

// exchange is a connection on which these words are said before the files.
func (s *script) exchange(words ...word) {
	c := s.connect(1)
	s.hello(c)
	s.finishHandshake(c)
	for _, w := range words {
		s.send(c.Packet(w.from, wire.Packet1RTT, kit.Frame(w.frame), kit.Padding(20)))
	}
	s.transfer(c)
}

// said replaces the words of a whole exchange that are from by others; without others it leaves them out.
func said(from word, others ...word) func(s *script) {
	return func(s *script) {
		var words []word
		for _, w := range wholeExchange {
			if w.from == from.from && w.frame.Type == from.frame.Type && w.frame.Offset == from.frame.Offset {
				words = append(words, others...)
				continue
			}
			words = append(words, w)
		}
		s.exchange(words...)
	}
}

// pluginViolations are exchanges of which one word is missing or wrong.
var pluginViolations = []violation{
	{
		name: "server offers nothing, but the client", broken: pluginOffered, seen: "no PLUGIN_OFFER frame", trace: leftTrace,
		do: said(wordOffer, word{kit.Client, wordOffer.frame}),
	},
	{
		name: "client refuses", broken: pluginWanted, seen: `refused code=3 "unsigned", and no other`, trace: leftTrace, packet: 6,
		do: said(wordNeed, wordRefuse),
	},
	{
		name: "server sends half of it", broken: pluginSent, seen: "PLUGIN_DATA 1 @0+4, and no other", trace: leftTrace, packet: 7,
		do: said(wordRest),
	},
	{name: "server is never ready", broken: pluginReady, seen: "no PLUGIN_READY frame", trace: leftTrace, do: said(wordMine)},
	{name: "nobody uses it", broken: pluginUsed, seen: "no frame of an offered plugin", trace: rightTrace, do: said(wordUse, wordOther)},
	{
		name: "server uses it too early", broken: pluginUsed, seen: "before the client was ready", trace: rightTrace, packet: 10,
		do: said(wordMine, wordMine, wordUse),
	},
	{
		name: "client gives it up", broken: pluginStays, seen: `PLUGIN_DETACH 1 code=3 "failed"`, trace: leftTrace, packet: 13,
		do: func(s *script) { s.exchange(slices.Concat(wholeExchange, []word{wordDetach})...) },
	},
}
