package workerfile

import (
	"github.com/goccy/go-yaml/ast"
)

// tokenPosition is where a node begins.
func tokenPosition(n ast.Node) position {
	for {
		switch x := n.(type) {
		case *ast.MappingNode:
			if x.IsFlowStyle || len(x.Values) == 0 {
				return placeOf(n)
			}
			n = x.Values[0].Key // the token of the mapping itself is a colon
		case *ast.MappingValueNode:
			n = x.Key
		default:
			return placeOf(n)
		}
	}
}

func placeOf(n ast.Node) position {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return position{t.Position.Line, t.Position.Column}
	}
	return position{}
}

// anchorFinder notes what aliases may refer to.
type anchorFinder struct{ d *decoder }

// Visit is called for each node.
func (v anchorFinder) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		name := a.Name.GetToken().Value
		if _, twice := v.d.anchors[name]; twice {
			v.d.fault(placeOf(a), "", "anchor &%s is defined twice", name)
		}
		v.d.anchors[name] = a.Value
	}
	return v
}

func (d *decoder) findAnchors(body ast.Node) { ast.Walk(anchorFinder{d}, body) }

// resolve follows anchors and aliases to a value, nil with a fault where there is none.
func (d *decoder) resolve(n ast.Node, path string) ast.Node {
	for range 10 { // an alias may lead to another; not in a circle
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.AliasNode:
			name := x.Value.GetToken().Value
			if n = d.anchors[name]; n == nil {
				d.fault(placeOf(x), path, "no anchor &%s stands in this file", name)
				return nil
			}
		case *ast.TagNode:
			d.fault(placeOf(x), path, "tag %s is not allowed; leave it out", x.GetToken().Value)
			return nil
		default:
			return n
		}
	}
	d.fault(placeOf(n), path, "its aliases lead in a circle")
	return nil
}

// entry is a key and its value.
type entry struct {
	key   string
	at    position // of the key
	value ast.Node
}

// entries are a mapping's keys in the order of the file, those that <<: merges in behind its own. false where the node is
// no mapping, which is told.
func (d *decoder) entries(n ast.Node, path, like string) ([]entry, bool) {
	var list []entry
	own := make(map[string]position)
	var merged []ast.Node
	for _, pair := range pairs(n) {
		at := placeOf(pair.Key)
		if pair.Key.IsMergeKey() {
			merged = append(merged, pair.Value)
			continue
		}
		key, ok := keyText(pair.Key)
		if !ok {
			hint := ""
			if _, alias := pair.Key.(*ast.AliasNode); alias {
				hint = "; one that begins with * must be in quotes"
			}
			d.fault(at, path, "a key must be a word or a text in quotes%s", hint)
			continue
		}
		if first, twice := own[key]; twice {
			d.fault(at, join(path, key), "is given twice, first in line %d", first.line)
			continue
		}
		own[key] = at
		list = append(list, entry{key, at, pair.Value})
	}
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		d.fault(tokenPosition(n), path, "%s is no mapping%s", d.shown(n), such(like))
		return nil, false
	}
	for _, m := range merged {
		list = d.merge(list, own, m, path)
	}
	return list, true
}

// merge adds the entries of what <<: names, but for those that are there.
func (d *decoder) merge(list []entry, own map[string]position, n ast.Node, path string) []entry {
	at := placeOf(n)
	target := d.resolve(n, path)
	if target == nil {
		return list
	}
	if len(pairs(target)) == 0 {
		d.fault(at, path, "<<: wants one mapping, such as <<: *name")
		return list
	}
	for _, pair := range pairs(target) {
		key, ok := keyText(pair.Key)
		if !ok || pair.Key.IsMergeKey() {
			d.fault(at, path, "<<: of a mapping that merges itself is not allowed")
			continue
		}
		if _, there := own[key]; !there {
			own[key] = placeOf(pair.Key)
			list = append(list, entry{key, placeOf(pair.Key), pair.Value})
		}
	}
	return list
}

// pairs are the entries of a mapping's node; none for other nodes.
func pairs(n ast.Node) []*ast.MappingValueNode {
	switch x := n.(type) {
	case *ast.MappingNode:
		return x.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{x}
	}
	return nil
}

// keyText is a key as text.
func keyText(n ast.MapKeyNode) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.MappingKeyNode, *ast.MergeKeyNode, *ast.NullNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "", false
	}
	return n.GetToken().Value, true
}

func isNull(n ast.Node) bool {
	_, null := n.(*ast.NullNode)
	return null
}
