package workerfile

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// decode fills a plain value: text, number, true or false, or duration.
func (d *decoder) decode(n ast.Node, path string, f *field, to reflect.Value) {
	at := tokenPosition(n)
	raw, isText, ok := scalar(n)
	if !ok {
		what := "a mapping"
		if _, list := n.(*ast.SequenceNode); list {
			what = "a list"
		}
		if isNull(n) {
			what = "nothing"
		}
		d.fault(at, path, "%s stands where %s is wanted%s", what, kindOf(to.Type()), such(f.like))
		return
	}
	text, expanded := raw, false
	if isText && strings.Contains(raw, "$") {
		var err error
		if text, err = expand(raw, d.source.Lookup); err != nil {
			d.fault(at, path, "%v", err)
			return
		}
		expanded = true
		d.file.variables[path] = true
	}
	shown := fmt.Sprintf("%.60q", raw)
	if !isText {
		shown = fmt.Sprintf("%.60s", raw)
	}
	if f.secret {
		shown = "the value"
	}
	if strings.ContainsRune(text, 0) {
		d.fault(at, path, "%s holds a NUL character", shown)
		return
	}
	var err error
	switch {
	case to.Type() == durationType:
		err = setDuration(text, f, to)
	case to.Kind() == reflect.String:
		err = setText(text, f, to)
	case isText && !expanded:
		err = inQuotes(text, f, to)
	case to.Kind() == reflect.Bool:
		err = setBool(text, to)
	case to.Kind() == reflect.Int:
		err = setInt(text, f, to)
	case to.Kind() == reflect.Float64:
		err = setFloat(text, f, to)
	default:
		panic("workerfile: no decoder for " + to.Type().String())
	}
	if err != nil {
		d.fault(at, path, "%s %v", shown, err)
	}
}

// scalar is a plain value's text; isText tells that it is no number, boolean or null by the rules of YAML.
func scalar(n ast.Node) (text string, isText, ok bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true, true
	case *ast.LiteralNode:
		return x.Value.Value, true, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, false, true
	}
	return "", false, false
}

// shown is a node for messages: never its content, which may be secret, but for numbers.
func (d *decoder) shown(n ast.Node) string {
	switch n.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	case *ast.NullNode:
		return "nothing"
	}
	return "the value " + n.GetToken().Value
}

func kindOf(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "a text"
}

func setText(text string, f *field, to reflect.Value) error {
	if len(f.oneof) > 0 {
		known := false
		for _, one := range f.oneof {
			known = known || one == text
		}
		if !known {
			return fmt.Errorf("is not known; %sallowed: %s", meant(text, f.oneof), strings.Join(f.oneof, ", "))
		}
	}
	if text == "" && f.typ.Kind() == reflect.String {
		return fmt.Errorf("is empty; give a value, or leave the line out%s", such(f.example()))
	}
	to.SetString(text)
	return nil
}

// inQuotes refuses a text where a number or boolean is wanted, and says how to write one.
func inQuotes(text string, f *field, to reflect.Value) error {
	probe := reflect.New(to.Type()).Elem()
	var err error
	switch to.Kind() {
	case reflect.Bool:
		err = setBool(text, probe)
	case reflect.Int:
		err = setInt(text, f, probe)
	default:
		err = setFloat(text, f, probe)
	}
	if err == nil {
		err = fmt.Errorf("is a text; write %s without quotes", text)
	}
	return err
}

func setBool(text string, to reflect.Value) error {
	switch text {
	case "true", "True", "TRUE":
		to.SetBool(true)
	case "false", "False", "FALSE":
		to.SetBool(false)
	default:
		return fmt.Errorf("is not true or false")
	}
	return nil
}

func setInt(text string, f *field, to reflect.Value) error {
	if bare := strings.TrimLeft(text, "+-"); len(bare) > 1 && bare[0] == '0' && strings.Trim(bare, "0123456789") == "" {
		return fmt.Errorf("begins with 0, and is octal to some who read YAML and decimal to others; leave the 0 out")
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		return fmt.Errorf("is no whole number; allowed: %s", f.bounds())
	}
	least, most := int64(math.MinInt64), int64(math.MaxInt64)
	if f.min != "" {
		least, _ = strconv.ParseInt(f.min, 10, 64)
	}
	if f.max != "" {
		most, _ = strconv.ParseInt(f.max, 10, 64)
	}
	if n < least || n > most {
		return fmt.Errorf("is out of range; allowed: %s", f.bounds())
	}
	to.SetInt(n)
	return nil
}

func setFloat(text string, f *field, to reflect.Value) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("is no number; allowed: %s", f.bounds())
	}
	least, _ := strconv.ParseFloat(f.min, 64)
	most, _ := strconv.ParseFloat(f.max, 64)
	if v < least || v > most {
		return fmt.Errorf("is out of range; allowed: %s", f.bounds())
	}
	to.SetFloat(v)
	return nil
}

func setDuration(text string, f *field, to reflect.Value) error {
	v, err := time.ParseDuration(text)
	if err != nil {
		if _, bare := strconv.ParseFloat(text, 64); bare == nil {
			return fmt.Errorf("has no unit; write such as %ss", strings.TrimPrefix(text, "-"))
		}
		hint := ""
		if days, ok := strings.CutSuffix(text, "d"); ok {
			if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
				hint = fmt.Sprintf("; for %s write %dh", text, 24*n)
			}
		}
		return fmt.Errorf("is no duration; units are ms, s, m, h, such as 300ms, 5s, 1m30s, 2h%s", hint)
	}
	least, most := time.Duration(0), time.Duration(math.MaxInt64)
	if f.min != "" {
		least, _ = time.ParseDuration(f.min)
	}
	if f.max != "" {
		most, _ = time.ParseDuration(f.max)
	}
	if v < least || v > most {
		return fmt.Errorf("is out of range; allowed: %s", f.bounds())
	}
	to.SetInt(int64(v))
	return nil
}

// bounds says what a number or duration may be.
func (f *field) bounds() string {
	switch {
	case f.min != "" && f.max != "":
		return f.min + " to " + f.max
	case f.min != "":
		return f.min + " or more"
	}
	return "any"
}
