package lab

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// drawing is an SVG file while it is made. It has no script and refers to nothing outside; colours follow what the viewer
// prefers, dark on light if it does not say.
type drawing struct {
	b             strings.Builder
	width, height float64
}

// style gives the classes that all plots share. The colours of lines are told apart by people who do not see red or green
// (Okabe, Ito: "Color Universal Design", 2008), and each has a dash pattern of its own.
const style = `
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#24292f}
.title{font-size:15px;font-weight:600}.note{font-size:11px;fill:#57606a}.name{font-weight:600}
.page{fill:#fff}.grid{stroke:#d8dee4;stroke-width:1}.axis{stroke:#57606a;stroke-width:1}.even{stroke:#57606a;stroke-width:1.5}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.mid{stroke-width:3}.mark{stroke-width:1;stroke-dasharray:2 3}
.c0{stroke:#0072b2}.c1{stroke:#d55e00}.c2{stroke:#009e73}.c3{stroke:#aa4499}
.d1{stroke-dasharray:7 3}.d2{stroke-dasharray:2 2}.d3{stroke-dasharray:9 3 2 3}
.f0{fill:#0072b2}.f1{fill:#d55e00}.f2{fill:#009e73}.f3{fill:#aa4499}.same{fill:#6e7781}.dot{fill-opacity:.65}.band{fill-opacity:.12}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.page{fill:#0d1117}.grid{stroke:#2a313c}.axis,.even{stroke:#9198a1}
.c0{stroke:#56b4e9}.c1{stroke:#f0943c}.c2{stroke:#2ec4a0}.c3{stroke:#d48ad4}.f0{fill:#56b4e9}.f1{fill:#f0943c}.f2{fill:#2ec4a0}.f3{fill:#d48ad4}}
`

// maxLines is how many runs a plot can tell apart.
const maxLines = 4

func newDrawing(width, height float64, title string) *drawing {
	d := &drawing{width: width, height: height}
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%[1]s" height="%[2]s" role="img"><title>%s</title><style>%s</style>`+"\n",
		px(width), px(height), escape(title), style)
	fmt.Fprintf(&d.b, `<rect class="page" width="%s" height="%s"/>`+"\n", px(width), px(height))
	return d
}

func (d *drawing) writeTo(w io.Writer) error {
	d.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, d.b.String())
	return err
}

// px writes a coordinate: a tenth of a pixel is finer than anyone sees.
func px(x float64) string {
	s := strconv.FormatFloat(x, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// escape makes text fit for SVG. Characters that XML does not allow become a replacement character.
func escape(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	return escaper.Replace(text)
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&d.b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, px(x1), px(y1), px(x2), px(y2))
}

func (d *drawing) rect(class string, x, y, w, h float64) {
	fmt.Fprintf(&d.b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`+"\n", class, px(x), px(y), px(w), px(h))
}

// dot draws a small circle; about, if not empty, is shown by viewers when a pointer rests on it.
func (d *drawing) dot(class string, x, y, r float64, about string) {
	fmt.Fprintf(&d.b, `<circle class="%s" cx="%s" cy="%s" r="%s"`, class, px(x), px(y), px(r))
	if about == "" {
		d.b.WriteString("/>\n")
		return
	}
	fmt.Fprintf(&d.b, `><title>%s</title></circle>`+"\n", escape(about))
}

// text anchors are start, middle and end.
func (d *drawing) text(class, anchor string, x, y float64, text string) {
	fmt.Fprintf(&d.b, `<text class="%s" text-anchor="%s" x="%s" y="%s">%s</text>`+"\n", class, anchor, px(x), px(y), escape(text))
}

// upright writes text from bottom to top, its middle at (x, y).
func (d *drawing) upright(class string, x, y float64, text string) {
	fmt.Fprintf(&d.b, `<text class="%s" text-anchor="middle" transform="translate(%s %s) rotate(-90)">%s</text>`+"\n", class, px(x), px(y), escape(text))
}

// xy is a place on the drawing.
type xy struct{ x, y float64 }

// path draws a line through points; coordinates after the first are relative, which keeps the file small.
func (d *drawing) path(class string, points []xy) {
	if len(points) == 0 {
		return
	}
	round := func(x float64) float64 { f, _ := strconv.ParseFloat(px(x), 64); return f }
	at := xy{round(points[0].x), round(points[0].y)}
	fmt.Fprintf(&d.b, `<path class="%s" d="M%s %sl`, class, px(at.x), px(at.y))
	for i, p := range points[1:] {
		to := xy{round(p.x), round(p.y)}
		if i > 0 {
			d.b.WriteByte(' ')
		}
		d.b.WriteString(px(to.x-at.x) + " " + px(to.y-at.y))
		at = to
	}
	if len(points) == 1 {
		d.b.WriteString("0 0")
	}
	d.b.WriteString(`"/>` + "\n")
}

// legend writes names with their lines, from right to left in one row.
func (d *drawing) legend(right, y float64, names []string) {
	x := right
	for i := len(names) - 1; i >= 0; i-- {
		d.text("name", "end", x, y+4, names[i])
		x -= textWidth(names[i]) + 8
		d.line(fmt.Sprintf("line c%d d%[1]d", i), x-26, y, x, y)
		x -= 26 + 18
	}
}

// textWidth estimates how wide text of 12 pixels and some weight is.
func textWidth(text string) float64 { return 7.2 * float64(len([]rune(text))) }
