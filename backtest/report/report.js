"use strict";
// Draw every figure into its place; each keeps the width of its card.
const figures = JSON.parse(document.getElementById("figures").textContent);
const family = getComputedStyle(document.body).fontFamily;
figures.forEach((figure, i) => {
  figure.layout.font.family = family;
  Plotly.newPlot("plot" + i, figure.data, figure.layout, { displayModeBar: false, responsive: true });
});
