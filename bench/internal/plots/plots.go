// Package plots draws curves into SVG files.
package plots

import (
	"bytes"
	"cmp"
	"image/color"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgsvg" // the format
)

// Point is one of a curve.
type Point struct{ X, Y float64 }

// Curve is a named line through points.
type Curve struct {
	Name   string
	Points []Point
	// Dashed tells it from another of the same colour, such as a p99 from a p50. Same keeps the colour of the curve before.
	Dashed, Same bool
}

// Chart is what one file shows. Both axes are logarithmic; points that have no logarithm are left out.
type Chart struct {
	Title, X, Y string
	Curves      []Curve
}

// The size of a chart on a page, and which part of its width the legend has.
const width, height, legendWidth = 24 * vg.Centimeter, 12 * vg.Centimeter, 5.5 * vg.Centimeter

// colours are those of the curves, which stay apart on white.
var colours = []color.Color{
	color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 255}, color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 255},
	color.RGBA{R: 0x2c, G: 0xa0, B: 0x2c, A: 255}, color.RGBA{R: 0xff, G: 0x7f, B: 0x0e, A: 255},
	color.RGBA{R: 0x94, G: 0x67, B: 0xbd, A: 255}, color.RGBA{R: 0x8c, G: 0x56, B: 0x4b, A: 255},
	color.RGBA{R: 0xe3, G: 0x77, B: 0xc2, A: 255}, color.RGBA{R: 0x7f, G: 0x7f, B: 0x7f, A: 255},
	color.RGBA{R: 0x17, G: 0xbe, B: 0xcf, A: 255}, color.RGBA{A: 255},
}

// Write draws a chart into a file, an SVG. A chart without points writes nothing and answers false.
func Write(file string, c Chart) (bool, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.Title, c.X, c.Y
	p.BackgroundColor = color.White
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Scale, axis.Tick.Marker = plot.LogScale{}, steps{}
		sans(&axis.Label.TextStyle.Font, &axis.Tick.Label.Font)
	}
	legend := plot.NewLegend()
	legend.Top, legend.Left, legend.YOffs, legend.Padding = true, true, -vg.Centimeter, vg.Points(4)
	legend.TextStyle.Font.Size = vg.Points(11)
	p.Title.Padding = vg.Points(10)
	sans(&p.Title.TextStyle.Font, &legend.TextStyle.Font)
	p.Add(plotter.NewGrid())
	colour, any := -1, false
	for _, curve := range c.Curves {
		points := drawable(curve.Points)
		if !curve.Same {
			colour++
		}
		if len(points) == 0 {
			continue
		}
		any = true
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return false, err
		}
		line.Color, line.Width = colours[colour%len(colours)], vg.Points(1.5)
		if curve.Dashed {
			line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		}
		dots.Color, dots.Shape, dots.Radius = line.Color, draw.CircleGlyph{}, vg.Points(2.5)
		p.Add(line, dots)
		legend.Add(curve.Name, line, dots)
	}
	if !any {
		return false, nil
	}
	room(p)
	return true, save(file, p, legend)
}

// save draws the legend beside the plot, where no curve is.
func save(file string, p *plot.Plot, legend plot.Legend) error {
	canvas, err := draw.NewFormattedCanvas(width, height, "svg")
	if err != nil {
		return err
	}
	whole := draw.New(canvas)
	p.Draw(draw.Crop(whole, 0, -legendWidth, 0, 0))
	legend.Draw(draw.Crop(whole, width-legendWidth+vg.Points(10), 0, 0, 0))
	var text bytes.Buffer
	if _, err := canvas.WriteTo(&text); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

// sans are fonts that a page shows well.
func sans(fonts ...*font.Font) {
	for _, f := range fonts {
		f.Variant = "Sans"
	}
}

// room has an axis end at steps, and no curve lie on the upper end of Y.
func room(p *plot.Plot) {
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Min, axis.Max = stepBelow(axis.Min), stepAbove(axis.Max)
		if axis.Min == axis.Max {
			axis.Min, axis.Max = stepBelow(axis.Min*0.9), stepAbove(axis.Max*1.1)
		}
	}
	p.Y.Max = stepAbove(p.Y.Max * 1.01)
}

// drawable are the points that a logarithmic chart can show, from left to right.
func drawable(points []Point) (out plotter.XYs) {
	for _, at := range points {
		if at.X > 0 && at.Y > 0 {
			out = append(out, plotter.XY{X: at.X, Y: at.Y})
		}
	}
	slices.SortFunc(out, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
	return out
}
