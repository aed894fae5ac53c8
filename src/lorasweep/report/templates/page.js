
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
for (const box of document.querySelectorAll("[data-chart]")) {
  const spec = JSON.parse(document.getElementById(box.dataset.chart).textContent);
  // the interpreter (ast) lets the page forbid evaluated code; SVG takes the page's text colour
  vegaEmbed(box, spec, {
    renderer: "svg",
    actions: false,
    ast: true,
    tooltip: { theme: dark ? "dark" : "light" },
  }).catch((error) => console.error(error));
}
