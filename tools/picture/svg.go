package main

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// The terminal, in characters and in pixels.
const (
	columns, rows          = 118, 26
	charWidth, lineHeight  = 7.3, 17
	padding, titleBar      = 14, 26
	descent                = 4               // of letters below their line
	hold                   = 7 * time.Second // at the end, before it begins again
	background, foreground = "#16181d", "#d8dbe2"
	prompt, comment        = "#7fd1b9", "#8a93a6"
)

// draw makes an SVG whose lines appear one after the other, and whose terminal
// scrolls. What shows no animations shows the end.
func draw(lines []line) string {
	lines = wrap(lines)
	end := lines[len(lines)-1].at + hold
	part := func(at time.Duration) float64 { return 100 * at.Seconds() / end.Seconds() }
	width := 2*padding + columns*charWidth
	height := 2*padding + titleBar + rows*lineHeight

	var style, body, scroll strings.Builder
	fmt.Fprintf(&style, "text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:%s;white-space:pre}\n", foreground)
	fmt.Fprintf(&style, ".c{fill:%s}.p{fill:%s;font-weight:bold}\n", comment, prompt)
	fmt.Fprintf(&style, "g.s,text.l{animation-duration:%.2fs;animation-timing-function:step-end;animation-iteration-count:infinite}\n", end.Seconds())
	for i, l := range lines {
		fmt.Fprintf(&style, "@keyframes l%d{0%%{visibility:hidden}%.2f%%{visibility:visible}}#l%d{animation-name:l%d}\n", i, part(l.at), i, i)
		if l.typed { // by a clip that gives way, a character at a time
			typed := len(l.text) - 2
			fmt.Fprintf(&style, "@keyframes t%d{0%%,%.2f%%{clip-path:inset(0 %.1fpx 0 0);animation-timing-function:steps(%d)}%.2f%%{clip-path:inset(0)}}#l%d{animation-name:l%d,t%d}\n",
				i, part(l.at), float64(typed)*charWidth, typed, part(l.at+time.Duration(typed)*key), i, i, i)
		}
		class, text := "", html.EscapeString(l.text)
		switch {
		case strings.HasPrefix(l.text, "$ #"):
			class, text = " c", html.EscapeString(l.text[2:])
		case l.typed:
			text = `<tspan class="p">$</tspan>` + html.EscapeString(l.text[1:])
		}
		fmt.Fprintf(&body, "<text class=\"l%s\" id=\"l%d\" x=\"%d\" y=\"%d\">%s</text>\n", class, i, padding, (i+1)*lineHeight-descent, text)
		if up := i + 1 - rows; up > 0 {
			fmt.Fprintf(&scroll, "%.2f%%{transform:translateY(%dpx)}", part(l.at), -up*lineHeight)
		}
	}
	up := max(0, len(lines)-rows) * lineHeight
	fmt.Fprintf(&style, "@keyframes s{0%%{transform:none}%s}g.s{animation-name:s;transform:translateY(%dpx)}\n", scroll.String(), -up)
	style.WriteString("@media(prefers-reduced-motion:reduce){g.s,text.l{animation:none}}\n")

	var svg strings.Builder
	fmt.Fprintf(&svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %d\" width=\"%.0f\" height=\"%d\" role=\"img\" aria-label=\"A terminal: an agent goes on through two kill -9 of its server\">\n", width, height, width, height)
	fmt.Fprintf(&svg, "<!-- Made from a real run by tools/picture. -->\n<style>\n%s</style>\n", style.String())
	fmt.Fprintf(&svg, "<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"%s\"/>\n", background)
	for i, dot := range []string{"#e0605e", "#e3b24c", "#68b66b"} {
		fmt.Fprintf(&svg, "<circle cx=\"%d\" cy=\"15\" r=\"5\" fill=\"%s\"/>\n", padding+6+16*i, dot)
	}
	fmt.Fprintf(&svg, "<svg y=\"%d\" width=\"100%%\" height=\"%d\"><g class=\"s\">\n%s</g></svg>\n</svg>\n", titleBar+descent, rows*lineHeight, body.String())
	return svg.String()
}

// wrap breaks lines that are longer than the terminal is wide.
func wrap(lines []line) (wrapped []line) {
	for _, l := range lines {
		for len(l.text) > columns {
			wrapped = append(wrapped, line{l.text[:columns], l.at, l.typed})
			l = line{l.text[columns:], l.at, false}
		}
		wrapped = append(wrapped, l)
	}
	return wrapped
}
