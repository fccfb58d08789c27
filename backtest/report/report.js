"use strict";
// Draw every figure into its place; each keeps the width of its card.
const figures = JSON.parse(document.getElementById("figures").textContent);
const family = getComputedStyle(document.body).fontFamily;
const locale = document.documentElement.lang;
const months = Array.from({ length: 12 }, (_, month) => month + 1 + "月");
Plotly.register({ moduleType: "locale", name: "zh-CN", dictionary: {}, format: { months, shortMonths: months, date: "%Y-%m-%d" } });
figures.forEach((figure, i) => {
  figure.layout.font.family = family;
  Plotly.newPlot("plot" + i, figure.data, figure.layout, { displayModeBar: false, responsive: true, locale });
});
