// Draws every figure from the JSON beside it. Hovering, dark colors and scaling need no more than this and the style.
"use strict";
for (const plot of document.querySelectorAll(".plot")) {
  const drawing = JSON.parse(plot.querySelector("script").textContent);
  Plotly.newPlot(plot.querySelector(".drawing"), drawing.data, drawing.layout, { displayModeBar: false });
}
