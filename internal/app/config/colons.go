package config

import (
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// joinColons mends plain scalars with colons inside a flow mapping. In {permit: [2001:db8::/32]}
// the scanner takes 2001 for a key. But a colon ends a key only if a space follows (YAML 1.2
// section 7.3.3), and addresses and DUIDs are full of colons that no space follows.
func joinColons(tokens token.Tokens) token.Tokens {
	joined := make(token.Tokens, 0, len(tokens))
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if t.Type == token.MappingValueType && i+1 < len(tokens) && isPlain(tokens[i+1]) && touches(t, tokens[i+1]) {
			before := len(joined) - 1
			switch {
			case before >= 0 && isPlain(joined[before]) && touches(joined[before], t):
				t = merge(merge(joined[before], t), tokens[i+1])
				joined = joined[:before]
				i++
			case before >= 0 && opensValue(joined[before]):
				t = merge(t, tokens[i+1])
				i++
			}
		}
		joined = append(joined, t)
	}
	for i, t := range joined {
		t.Prev, t.Next = nil, nil
		if i > 0 {
			t.Prev, joined[i-1].Next = joined[i-1], t
		}
	}
	return joined
}

func isPlain(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.OctetIntegerType, token.HexIntegerType, token.BinaryIntegerType,
		token.FloatType, token.BoolType, token.NullType, token.InfinityType, token.NanType:
		return true
	}
	return false
}

// opensValue reports whether a scalar may start after the token.
func opensValue(t *token.Token) bool {
	return t.Type == token.SequenceStartType || t.Type == token.MappingStartType || t.Type == token.CollectEntryType
}

// touches reports whether b starts where a ends.
func touches(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line &&
		a.Position.Column+utf8.RuneCountInString(a.Value) == b.Position.Column
}

// merge returns the plain scalar that two tokens make together.
func merge(a, b *token.Token) *token.Token {
	t := *a
	t.Type, t.Value, t.Origin = token.StringType, a.Value+b.Value, a.Origin+b.Origin
	return &t
}
