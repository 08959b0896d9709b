// The report on A4, by Pango and Cairo (docs/adr/0018).
#include <algorithm>
#include <memory>

#include <cairo-pdf.h>
#include <pango/pangocairo.h>

#include "backup/report/report.h"

namespace verbund::backup {
namespace {

// Points, 1/72 inch.
constexpr double kWidth = 595.28, kHeight = 841.89, kMargin = 51, kLabel = 160, kGap = 10;
constexpr double kUsable = kWidth - 2 * kMargin;
constexpr double kBottom = kHeight - kMargin - 14;  // above the footer

struct Colour {
  double red, green, blue;
};
constexpr Colour kInk{0.106, 0.122, 0.141}, kGrey{0.34, 0.376, 0.416}, kRule{0.82, 0.84, 0.87};

Colour colour_of(Report::Outcome outcome) {
  if (outcome == Report::Outcome::kOk) return {0.10, 0.50, 0.22};
  if (outcome == Report::Outcome::kIncomplete) return {0.70, 0.42, 0.0};
  return {0.70, 0.15, 0.12};
}

cairo_status_t append(void* to, const unsigned char* bytes, unsigned length) {
  static_cast<std::string*>(to)->append(reinterpret_cast<const char*>(bytes), length);
  return CAIRO_STATUS_SUCCESS;
}

struct Free {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(cairo_t* context) const { cairo_destroy(context); }
  void operator()(PangoLayout* layout) const { g_object_unref(layout); }
  void operator()(PangoFontDescription* font) const { pango_font_description_free(font); }
};
template <typename T>
using Held = std::unique_ptr<T, Free>;

struct Style {
  double size = 9.5;
  bool bold = false;
  Colour colour = kInk;
  bool right = false;
};

class Paper {
 public:
  explicit Paper(const Document& document) : document_(document), surface_(cairo_pdf_surface_create_for_stream(append, &bytes_, kWidth, kHeight)), context_(cairo_create(surface_.get())) {
    cairo_pdf_surface_set_metadata(surface_.get(), CAIRO_PDF_METADATA_TITLE, (document.title + ": " + document.subtitle).c_str());
  }

  Result<std::string> draw() {
    put(document_.title, {17, true, kInk, false});
    put(document_.subtitle, {10.5, false, kGrey, false});
    y_ += 8;
    verdict();
    for (const auto& section : document_.sections) draw(section);
    footer();
    cairo_show_page(context_.get());
    context_.reset();
    cairo_surface_finish(surface_.get());
    if (const auto status = cairo_surface_status(surface_.get()); status != CAIRO_STATUS_SUCCESS) {
      return fail(ErrorCode::kInternal, phrase("make a PDF: {}", cairo_status_to_string(status)));
    }
    return std::move(bytes_);
  }

 private:
  Held<PangoLayout> layout(const std::string& text, double width, const Style& style) const {
    Held<PangoLayout> made(pango_cairo_create_layout(context_.get()));
    const Held<PangoFontDescription> font(pango_font_description_from_string("DejaVu Sans, sans-serif"));
    pango_font_description_set_absolute_size(font.get(), style.size * PANGO_SCALE);
    pango_font_description_set_weight(font.get(), style.bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
    pango_layout_set_font_description(made.get(), font.get());
    pango_layout_set_width(made.get(), static_cast<int>(width * PANGO_SCALE));
    pango_layout_set_wrap(made.get(), PANGO_WRAP_WORD_CHAR);
    pango_layout_set_alignment(made.get(), style.right ? PANGO_ALIGN_RIGHT : PANGO_ALIGN_LEFT);
    pango_layout_set_text(made.get(), text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 8192)));
    return made;
  }
  static double height_of(PangoLayout* layout) {
    int width = 0, height = 0;
    pango_layout_get_size(layout, &width, &height);
    return static_cast<double>(height) / PANGO_SCALE;
  }
  double width_of(const std::string& text, const Style& style) const {
    const auto made = layout(text, 10'000, style);
    int width = 0, height = 0;
    pango_layout_get_size(made.get(), &width, &height);
    return static_cast<double>(width) / PANGO_SCALE;
  }
  void show(PangoLayout* layout, double x, const Colour& colour) {
    cairo_set_source_rgb(context_.get(), colour.red, colour.green, colour.blue);
    cairo_move_to(context_.get(), x, y_);
    pango_cairo_show_layout(context_.get(), layout);
  }
  void rule(double y, const Colour& colour, double thickness) {
    cairo_set_source_rgb(context_.get(), colour.red, colour.green, colour.blue);
    cairo_rectangle(context_.get(), kMargin, y, kUsable, thickness);
    cairo_fill(context_.get());
  }

  /// Begins a page when `height` does not fit on this one.
  void make_room(double height) {
    if (y_ + height <= kBottom) return;
    footer();
    cairo_show_page(context_.get());
    ++page_;
    y_ = kMargin;
  }
  void footer() {
    y_ = kHeight - kMargin + 4;
    show(layout(document_.footer, kUsable, {}).get(), kMargin, kGrey);
    show(layout(std::to_string(page_), kUsable, {9.5, false, kGrey, true}).get(), kMargin, kGrey);
  }

  void put(const std::string& text, const Style& style) {
    const auto made = layout(text, kUsable, style);
    const double height = height_of(made.get());
    make_room(height);
    show(made.get(), kMargin, style.colour);
    y_ += height + 2;
  }

  void verdict() {
    const auto colour = colour_of(document_.outcome);
    const auto made = layout(document_.verdict, kUsable - 22, {12, true, kInk, false});
    const double height = height_of(made.get()) + 14;
    cairo_set_source_rgba(context_.get(), colour.red, colour.green, colour.blue, 0.1);
    cairo_rectangle(context_.get(), kMargin, y_, kUsable, height);
    cairo_fill(context_.get());
    cairo_set_source_rgb(context_.get(), colour.red, colour.green, colour.blue);
    cairo_rectangle(context_.get(), kMargin, y_, 5, height);
    cairo_fill(context_.get());
    y_ += 7;
    show(made.get(), kMargin + 14, kInk);
    y_ += height - 7;
  }

  void draw(const Document::Section& section) {
    y_ += 12;
    make_room(45);  // a heading does not stand alone at the foot of a page
    put(section.heading, {11, true, kInk, false});
    rule(y_, kRule, 0.7);
    y_ += 5;
    for (const auto& line : section.lines) bullet(line);
    for (const auto& [name, value] : section.facts) fact(name, value);
    if (!section.rows.empty()) table(section);
  }

  void bullet(const std::string& line) {
    const auto made = layout(line, kUsable - 12, {});
    const double height = height_of(made.get());
    make_room(height);
    show(layout("•", 12, {}).get(), kMargin, kInk);
    show(made.get(), kMargin + 12, kInk);
    y_ += height + 3;
  }

  void fact(const std::string& name, const std::string& value) {
    const auto label = layout(name, kLabel, {});
    const auto made = layout(value, kUsable - kLabel - kGap, {});
    const double height = std::max(height_of(label.get()), height_of(made.get()));
    make_room(height);
    show(label.get(), kMargin, kGrey);
    show(made.get(), kMargin + kLabel + kGap, kInk);
    y_ += height + 3;
  }

  /// Columns are as wide as their texts; the widest gives way until they fit.
  std::vector<double> widths_of(const Document::Section& section) const {
    std::vector<double> widths(section.columns.size(), 0);
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = width_of(section.columns[i], {9.5, true, kInk, false});
    for (const auto& row : section.rows) {
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i], {}));
    }
    double all = kGap * static_cast<double>(widths.size() - 1);
    for (double& width : widths) all += width += 1;
    auto& widest = *std::ranges::max_element(widths);
    widest = std::max(60.0, widest + (section.numbers || all > kUsable ? kUsable - all : 0));
    return widths;
  }

  void row(const std::vector<std::string>& cells, const std::vector<double>& widths, bool numbers, bool heading) {
    std::vector<Held<PangoLayout>> layouts;
    double height = 0;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      layouts.push_back(layout(cells[i], widths[i], {9.5, heading, kInk, numbers && i > 0}));
      height = std::max(height, height_of(layouts.back().get()));
    }
    make_room(height + 3);
    double x = kMargin;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      show(layouts[i].get(), x, heading ? kGrey : kInk);
      x += widths[i] + kGap;
    }
    y_ += height + 2;
    rule(y_, {0.92, 0.93, 0.95}, 0.5);
    y_ += 2;
  }

  void table(const Document::Section& section) {
    const auto widths = widths_of(section);
    row(section.columns, widths, section.numbers, true);
    for (const auto& each : section.rows) row(each, widths, section.numbers, false);
  }

  const Document& document_;
  std::string bytes_;  // before what writes into it
  Held<cairo_surface_t> surface_;
  Held<cairo_t> context_;
  double y_ = kMargin;
  int page_ = 1;
};

}  // namespace

Result<std::string> pdf_of(const Document& document) { return Paper(document).draw(); }

}  // namespace verbund::backup
