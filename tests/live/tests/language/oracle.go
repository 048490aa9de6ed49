// The oracle of the suite `language`: what OpenTofu makes of expressions, and of the layout of files.
//
// Reads one JSON string a line, each an expression; prints one JSON object a line: `{"value": …, "type": …}` or
// `{"error": …}`, in the form of `dmp console --json`. Its only argument is the folder for functions that read files.
// With `--format` each string is a file, and the answer is its text in the canonical layout as a string, or null.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/opentofu/opentofu/internal/lang"
	"github.com/opentofu/opentofu/internal/lang/marks"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--functions" {
		names()
		return
	}
	answers := formatted
	if os.Args[1] != "--format" {
		answers = evaluated(os.Args[1])
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			panic(err)
		}
		fmt.Fprintln(out, answers(text))
	}
}

func evaluated(folder string) func(string) string {
	// As in a plan: what is only known when it is applied is unknown.
	scope := &lang.Scope{BaseDir: folder, PureOnly: true}
	functions := scope.Functions()
	return func(text string) string { return answer(text, functions) }
}

// formatted is what `tofu fmt` makes of a file: the layout of hclwrite, labels in quotes, and `"${x}"` as `x`.
func formatted(text string) string {
	file, diagnostics := hclwrite.ParseConfig([]byte(text), "", hcl.InitialPos)
	if diagnostics.HasErrors() {
		return "null"
	}
	rewrite(file.Body())
	var encoded strings.Builder
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(string(file.Bytes())); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(encoded.String(), "\n")
}

func rewrite(body *hclwrite.Body) {
	for name, attribute := range body.Attributes() {
		body.SetAttributeRaw(name, unwrapped(attribute.Expr().BuildTokens(nil)))
	}
	for _, block := range body.Blocks() {
		block.SetLabels(block.Labels())
		rewrite(block.Body())
	}
}

// unwrapped takes the only `${…}` of a quoted text out of it.
func unwrapped(tokens hclwrite.Tokens) hclwrite.Tokens {
	last := len(tokens) - 1
	if last < 4 || tokens[0].Type != hclsyntax.TokenOQuote || tokens[1].Type != hclsyntax.TokenTemplateInterp ||
		tokens[last-1].Type != hclsyntax.TokenTemplateSeqEnd || tokens[last].Type != hclsyntax.TokenCQuote {
		return tokens
	}
	inside := tokens[2 : last-1]
	quotes := 0
	for _, token := range inside {
		switch token.Type {
		case hclsyntax.TokenOQuote:
			quotes++
		case hclsyntax.TokenCQuote:
			quotes--
		case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenQuotedLit:
			if quotes == 0 {
				return tokens
			}
		}
	}
	isNewline := func(token *hclwrite.Token) bool { return token.Type == hclsyntax.TokenNewline }
	for len(inside) > 0 && isNewline(inside[0]) {
		inside = inside[1:]
	}
	for len(inside) > 0 && isNewline(inside[len(inside)-1]) {
		inside = inside[:len(inside)-1]
	}
	isParenthesis := inside[0].Type == hclsyntax.TokenOParen && inside[len(inside)-1].Type == hclsyntax.TokenCParen
	if isParenthesis || !slices.ContainsFunc(inside, isNewline) {
		return inside
	}
	open := &hclwrite.Token{Type: hclsyntax.TokenOParen, Bytes: []byte("(")}
	end := &hclwrite.Token{Type: hclsyntax.TokenCParen, Bytes: []byte(")")}
	return slices.Concat(hclwrite.Tokens{open}, inside, hclwrite.Tokens{end})
}

func names() {
	var all []string
	for name := range (&lang.Scope{}).Functions() {
		if !strings.Contains(name, "::") {
			all = append(all, name)
		}
	}
	sort.Strings(all)
	fmt.Println(strings.Join(all, "\n"))
}

// answer evaluates one expression; one that takes too long is left behind.
func answer(text string, functions map[string]function.Function) string {
	done := make(chan string, 1)
	go func() {
		defer func() {
			if caught := recover(); caught != nil {
				done <- failed(fmt.Sprintf("panic: %v", caught))
			}
		}()
		done <- evaluate(text, functions)
	}()
	select {
	case found := <-done:
		return found
	case <-time.After(10 * time.Second):
		return failed("no end after ten seconds")
	}
}

func evaluate(text string, functions map[string]function.Function) string {
	expr, diagnostics := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
	if diagnostics.HasErrors() {
		return failed(diagnostics.Error())
	}
	value, diagnostics := expr.Value(&hcl.EvalContext{Functions: functions})
	if diagnostics.HasErrors() {
		return failed(diagnostics.Error())
	}
	var shown strings.Builder
	write(&shown, value)
	ty, _ := json.Marshal(typeOf(value).String())
	return fmt.Sprintf(`{"type":%s,"value":%s}`, ty, shown.String())
}

func failed(why string) string {
	text, _ := json.Marshal(why)
	return fmt.Sprintf(`{"error":%s}`, text)
}

func write(out *strings.Builder, value cty.Value) {
	if value.HasMark(marks.Sensitive) || value.HasMark(marks.Ephemeral) {
		out.WriteString(`"(sensitive)"`)
		return
	}
	value, _ = value.Unmark()
	switch {
	case !value.IsKnown():
		out.WriteString(`"(known after apply)"`)
	case value.IsNull():
		out.WriteString("null")
	case value.Type() == cty.Bool:
		fmt.Fprint(out, value.True())
	case value.Type() == cty.Number:
		number := value.AsBigFloat()
		if number.IsInf() {
			out.WriteString(`"infinity"`)
			return
		}
		out.WriteString(number.Text('f', -1))
	case value.Type() == cty.String:
		writeText(out, value.AsString())
	case value.Type().IsObjectType() || value.Type().IsMapType():
		separator := "{"
		for each := value.ElementIterator(); each.Next(); {
			key, member := each.Element()
			out.WriteString(separator)
			key, _ = key.Unmark()
			writeText(out, key.AsString())
			out.WriteString(":")
			write(out, member)
			separator = ","
		}
		if separator == "{" {
			out.WriteString("{")
		}
		out.WriteString("}")
	case value.CanIterateElements():
		separator := "["
		for each := value.ElementIterator(); each.Next(); {
			_, item := each.Element()
			out.WriteString(separator)
			write(out, item)
			separator = ","
		}
		if separator == "[" {
			out.WriteString("[")
		}
		out.WriteString("]")
	default:
		fmt.Fprintf(out, `"(%s)"`, value.Type().FriendlyName())
	}
}

func writeText(out *strings.Builder, text string) {
	encoded, _ := json.Marshal(text)
	out.Write(encoded)
}

// kind is a type as dmp has it: null and empty collections say nothing of theirs.
type kind struct {
	name    string
	element *kind
	items   []kind
	members map[string]kind
}

var anything = kind{name: "any"}

func (k kind) String() string {
	switch k.name {
	case "list", "set", "map":
		return k.name + "(" + k.element.String() + ")"
	case "tuple":
		var items []string
		for _, item := range k.items {
			items = append(items, item.String())
		}
		return "tuple([" + strings.Join(items, ", ") + "])"
	case "object":
		var names, members []string
		for name := range k.members {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			members = append(members, name+"="+k.members[name].String())
		}
		return "object({" + strings.Join(members, ", ") + "})"
	}
	return k.name
}

// typeOf is what the value itself tells of its type.
func typeOf(value cty.Value) kind {
	value, _ = value.Unmark()
	if !value.IsKnown() {
		return ofType(value.Type())
	}
	ty := value.Type()
	switch {
	case value.IsNull():
		return anything
	case ty.IsListType() || ty.IsSetType() || ty.IsMapType():
		element := anything
		for each := value.ElementIterator(); each.Next(); {
			_, item := each.Element()
			element = merged(element, typeOf(item))
		}
		return kind{name: collectionName(ty), element: &element}
	case ty.IsTupleType():
		result := kind{name: "tuple"}
		for each := value.ElementIterator(); each.Next(); {
			_, item := each.Element()
			result.items = append(result.items, typeOf(item))
		}
		return result
	case ty.IsObjectType():
		result := kind{name: "object", members: map[string]kind{}}
		for each := value.ElementIterator(); each.Next(); {
			key, member := each.Element()
			result.members[key.AsString()] = typeOf(member)
		}
		return result
	}
	return ofType(ty)
}

func ofType(ty cty.Type) kind {
	switch {
	case ty.HasDynamicTypes() && ty == cty.DynamicPseudoType:
		return anything
	case ty.IsPrimitiveType():
		return kind{name: ty.FriendlyName()}
	case ty.IsListType() || ty.IsSetType() || ty.IsMapType():
		element := ofType(ty.ElementType())
		return kind{name: collectionName(ty), element: &element}
	case ty.IsTupleType():
		result := kind{name: "tuple"}
		for _, item := range ty.TupleElementTypes() {
			result.items = append(result.items, ofType(item))
		}
		return result
	case ty.IsObjectType():
		result := kind{name: "object", members: map[string]kind{}}
		for name, member := range ty.AttributeTypes() {
			result.members[name] = ofType(member)
		}
		return result
	}
	return kind{name: ty.FriendlyName()}
}

func collectionName(ty cty.Type) string {
	switch {
	case ty.IsListType():
		return "list"
	case ty.IsSetType():
		return "set"
	}
	return "map"
}

// merged is the type of both, where each may leave something open.
func merged(one, two kind) kind {
	switch {
	case one.name == "any":
		return two
	case two.name == "any" || one.name != two.name:
		return one
	case one.element != nil:
		element := merged(*one.element, *two.element)
		return kind{name: one.name, element: &element}
	case one.name == "tuple" && len(one.items) == len(two.items):
		result := kind{name: "tuple"}
		for at := range one.items {
			result.items = append(result.items, merged(one.items[at], two.items[at]))
		}
		return result
	case one.name == "object":
		result := kind{name: "object", members: map[string]kind{}}
		for name, member := range one.members {
			result.members[name] = merged(member, two.members[name])
		}
		return result
	}
	return one
}
