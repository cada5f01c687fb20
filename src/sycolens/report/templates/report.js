// Draws every figure from the JSON beside it. Hovering, dark colors and scaling need no more than this and the style.
"use strict";
for (const plot of document.querySelectorAll(".plot")) {
  const drawing = JSON.parse(plot.querySelector("script").textContent);
  // Nothing is dragged or zoomed, so that a finger on a figure scrolls the page.
  const layout = { ...drawing.layout, dragmode: false };
  Plotly.newPlot(plot.querySelector(".drawing"), drawing.data, layout, { displayModeBar: false, scrollZoom: false, doubleClick: false });
}
