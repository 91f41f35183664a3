// Tokens of a text that does not parse: what stands around the place where the parser gave up.

package starlark

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.starlark.net/syntax"
)

// token is one token of a script, as far as teaching tells them apart.
type token struct {
	kind       byte // one of those below
	text       string
	start, end int // bytes of the text
}

const (
	wordToken   = 'w' // a name or keyword
	numberToken = '0'
	textToken   = 's' // text or bytes
	markToken   = '+' // an operator, a bracket
	lineToken   = '\n'
)

// marks are the operators of more than one character, the longer ones first. ":=" and "->" are two each, as they are to the parser.
var marks = []string{"//=", "<<=", ">>=", "**", "//", "<<", ">>", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="}

// tokensOf cuts a text into tokens. The end of a line is one where no bracket is open.
func tokensOf(text string) (tokens []token) {
	depth := 0
	for i := 0; i < len(text); {
		start, kind, c := i, byte(markToken), text[i]
		switch {
		case c == '\n':
			i++
			if kind = lineToken; depth > 0 {
				continue
			}
		case c == ' ' || c == '\t' || c == '\r':
			i++
			continue
		case c == '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case strings.HasPrefix(text[i:], "\\\n"):
			i += 2
			continue
		case c == '"' || c == '\'':
			i, kind = stringEnd(text, i), textToken
		case isDigit(c) || c == '.' && i+1 < len(text) && isDigit(text[i+1]):
			i, kind = wordEnd(text, i, "."), numberToken
		case wordEnd(text, i, "") > i:
			i, kind = wordEnd(text, i, ""), wordToken
			if prefix := text[start:i]; (prefix == "r" || prefix == "b" || prefix == "rb") && i < len(text) && (text[i] == '"' || text[i] == '\'') {
				i, kind = stringEnd(text, i), textToken
			}
		default:
			if n := slices.IndexFunc(marks, func(m string) bool { return strings.HasPrefix(text[i:], m) }); n >= 0 {
				i += len(marks[n])
				break
			}
			switch i++; c {
			case '(', '[', '{':
				depth++
			case ')', ']', '}':
				depth = max(depth-1, 0)
			}
		}
		tokens = append(tokens, token{kind: kind, text: text[start:i], start: start, end: i})
	}
	return tokens
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// wordEnd is where the letters, digits and more that begin at i end.
func wordEnd(text string, i int, more string) int {
	for i < len(text) {
		c := text[i]
		if c != '_' && c < utf8.RuneSelf && !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte(more, c) < 0 {
			break
		}
		i++
	}
	return i
}

// stringEnd is behind the string whose quote is at i.
func stringEnd(text string, i int) int {
	quote := text[i : i+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(text[i:], triple) {
		quote = triple
	}
	for i += len(quote); i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote)
		case text[i] == '\n' && len(quote) == 1:
			return i
		case text[i] == '\\':
			i++
		}
	}
	return len(text)
}

// refusal is where the parser gave up.
type refusal struct {
	tokens []token
	at     int   // index of the token that it refused, -1 when that is not known
	first  int   // the first token of the statement
	open   []int // the brackets that are open there
}

// refusalOf finds the token that an error is about. The parser stands behind it, but
// before it where it wants a value, and where it does not say what it got.
func refusalOf(text string, pos syntax.Position, msg string) refusal {
	p := refusal{tokens: tokensOf(text), at: -1}
	offset := offsetOf(text, pos)
	got := gotToken.FindStringSubmatch(msg)
	if got == nil && strings.HasPrefix(msg, "got , ") { // bytes have no name
		got = make([]string, 3)
	}
	before := strings.Contains(msg, "want primary expression")
	behind := strings.HasPrefix(msg, "not an identifier") || strings.HasPrefix(msg, "load operand must be")
	for i, t := range p.tokens {
		if t.start > offset {
			break
		}
		found := false
		switch {
		case behind:
			found = t.end == offset
		case got == nil:
			found = t.start == offset || t.kind == textToken && offset < t.end // the quote, behind a prefix
		case before:
			found = t.start == offset && t.isSaid(got[1]+got[2])
		default:
			found = t.end == offset && t.isSaid(got[1]+got[2])
		}
		if found {
			p.at = i
			break
		}
		p.pass(i)
	}
	return p
}

// isSaid tells whether the parser calls a token so.
func (t token) isSaid(name string) bool {
	switch name {
	case "string", "":
		return t.kind == textToken
	case "identifier":
		return t.kind == wordToken
	case "int", "float":
		return t.kind == numberToken
	case "illegal": // a word that is reserved
		return t.kind == wordToken
	}
	return t.text == name
}

// pass goes beyond a token.
func (p *refusal) pass(i int) {
	switch t := p.tokens[i]; {
	case t.kind == lineToken, t.text == ";" && len(p.open) == 0, t.text == ":" && p.opensBlock(i):
		p.first = i + 1
	case t.kind != markToken:
	case strings.Contains("([{", t.text):
		p.open = append(p.open, i)
	case strings.Contains(")]}", t.text) && len(p.open) > 0:
		p.open = p.open[:len(p.open)-1]
	}
}

// opensBlock tells whether a colon ends the head of an if, a loop or a def.
func (p *refusal) opensBlock(i int) bool {
	switch p.text(p.first) {
	case "if", "elif", "else", "for", "while", "def":
		return len(p.open) == 0 && !slices.ContainsFunc(p.tokens[p.first:i], func(t token) bool { return t.text == "lambda" })
	}
	return false
}

// text is that of a token, "" beyond both ends.
func (p *refusal) text(i int) string {
	if i < 0 || i >= len(p.tokens) {
		return ""
	}
	return p.tokens[i].text
}

// touches tells whether nothing stands between a token and the one before it.
func (p *refusal) touches(i int) bool {
	return i > 0 && i < len(p.tokens) && p.tokens[i-1].end == p.tokens[i].start
}

func (p *refusal) kind(i int) byte {
	if i < 0 || i >= len(p.tokens) {
		return 0
	}
	return p.tokens[i].kind
}

// operand tells whether a token ends an operand, so that what follows is an operator, a call or an index.
func (p *refusal) operand(i int) bool {
	switch p.kind(i) {
	case wordToken:
		return !slices.Contains([]string{"and", "or", "not", "in", "if", "else", "elif", "while", "for", "return", "lambda", "is"}, p.text(i))
	case numberToken, textToken:
		return true
	}
	return p.text(i) == ")" || p.text(i) == "]" || p.text(i) == "}"
}

// bracket is what the innermost open bracket is: "(" "[" "{" of a value, "call", "index", "def" of parameters, "" for none.
func (p *refusal) bracket() string {
	if len(p.open) == 0 {
		return ""
	}
	switch i := p.open[len(p.open)-1]; {
	case p.text(i) == "(" && p.text(i-2) == "def":
		return "def"
	case p.text(i) == "(" && p.operand(i-1):
		return "call"
	case p.text(i) == "[" && p.operand(i-1):
		return "index"
	default:
		return p.text(i)
	}
}

// inLambda tells whether the place is among the parameters of a lambda.
func (p *refusal) inLambda() bool {
	for i := p.at - 1; i >= p.first && p.text(i) != ":"; i-- {
		if p.kind(i) == wordToken && p.text(i) == "lambda" {
			return true
		}
	}
	return false
}

// inBracket tells whether a mark stands between the innermost open bracket and the place, in no other bracket.
func (p *refusal) inBracket(mark string) bool {
	return p.at >= 0 && len(p.open) > 0 && p.outside(p.open[len(p.open)-1]+1, p.at, mark)
}

// outside tells whether a mark or word stands among tokens, in none of their brackets.
func (p *refusal) outside(from, to int, mark string) bool {
	depth := 0
	for _, t := range p.tokens[from:to] {
		switch {
		case t.kind == textToken:
		case t.text == mark && depth == 0:
			return true
		case strings.Contains("([{", t.text):
			depth++
		case strings.Contains(")]}", t.text):
			depth--
		}
	}
	return false
}

// assigned tells whether the place is to the left of an assignment.
func (p *refusal) assigned() bool {
	if p.text(p.first) == "return" || p.outside(p.first, p.at, "=") {
		return false
	}
	depth := len(p.open)
	for _, t := range p.tokens[p.at:] {
		switch {
		case t.kind == lineToken:
			return false
		case t.kind != markToken:
		case t.text == "=" && depth == 0:
			return true
		case strings.Contains("([{", t.text):
			depth++
		case strings.Contains(")]}", t.text):
			depth--
		}
	}
	return false
}

// end is the index of the end of the statement's line.
func (p *refusal) end() int {
	for i := max(p.at, 0); i < len(p.tokens); i++ {
		if p.tokens[i].kind == lineToken {
			return i
		}
	}
	return len(p.tokens)
}

// offsetOf is the byte of a text that a position, which counts characters, stands for.
func offsetOf(text string, pos syntax.Position) int {
	start := 0
	for range pos.Line - 1 {
		n := strings.IndexByte(text[start:], '\n')
		if n < 0 {
			return len(text)
		}
		start += n + 1
	}
	line, _, _ := strings.Cut(text[start:], "\n")
	return start + byteOf(line, int(pos.Col)-1)
}

// positionOf is the position of a byte of a text.
func positionOf(text string, pos syntax.Position, offset int) syntax.Position {
	before := text[:offset]
	pos.Line = int32(strings.Count(before, "\n")) + 1
	pos.Col = int32(utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	return pos
}
