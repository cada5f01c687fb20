// The panel about one head: opened from a map, a bar, a name in a table, the list of heads or the address.
"use strict";
{
  const panel = document.getElementById("head-panel");
  const data = JSON.parse(panel.querySelector("script").textContent);
  const { place, ranked, make, effect, facts, looksAt } = headPanel(data);
  const NAME = /^L(\d+)H(\d+)(?![\w])/;
  const choice = document.getElementById("head-choice");
  const dialogue = document.getElementById("head-dialogue");
  const shaded = document.getElementById("head-attention");
  const about = document.getElementById("head-weight");
  let shown = null, opener = null;

  const shade = () => {
    const kept = Boolean(data.attention && data.attention.weights[shown]);
    document.getElementById("head-looks").hidden = !kept;
    const looks = kept ? looksAt(shown, Number(dialogue.value)) : { words: [], about: "" };
    shaded.replaceChildren(...looks.words);
    about.textContent = looks.about;
  };
  shaded.addEventListener("pointerover", (event) => {
    if (event.target.dataset.weight) about.textContent = `“${event.target.textContent.trim()}”: ${event.target.title} of the last token's attention.`;
  });

  const open = (head, { focus = true } = {}) => {
    if (!place.has(head)) return;
    if (panel.hidden) opener = document.activeElement;
    shown = head;
    document.getElementById("head-name").textContent = head;
    const list = panel.querySelector("dl");
    list.replaceChildren(...facts(head));
    choice.value = head;
    shade();
    panel.hidden = false;
    document.body.classList.add("with-panel");
    history.replaceState(null, "", `#${head}`);
    if (focus) panel.focus({ preventScroll: true });
  };
  const close = () => {
    panel.hidden = true;
    document.body.classList.remove("with-panel");
    history.replaceState(null, "", location.pathname + location.search);
    if (opener && opener.isConnected) opener.focus({ preventScroll: true });
  };
  const step = (by) => open(ranked[(ranked.indexOf(shown) + by + ranked.length) % ranked.length]);

  choice.append(...ranked.map((head) => make("option", `${head}: ${effect(data.score[place.get(head)])}`, { value: head })));
  if (data.attention) dialogue.append(...data.attention.tokens.map((_, at) => make("option", `dialogue ${at + 1}`, { value: at })));
  document.getElementById("chooser").addEventListener("submit", (event) => { event.preventDefault(); open(choice.value); });
  dialogue.addEventListener("change", shade);
  document.getElementById("head-before").addEventListener("click", () => step(-1));
  document.getElementById("head-after").addEventListener("click", () => step(1));
  document.getElementById("head-close").addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) close();
  });

  for (const drawing of document.querySelectorAll(".drawing")) {
    if (drawing.on) drawing.on("plotly_click", ({ points }) => {
      const found = NAME.exec(points[0].text || points[0].hovertext || "");
      if (found) open(found[0]);
    });
  }
  for (const cell of document.querySelectorAll("table th, table td")) {
    const text = cell.textContent.trim();
    if (!NAME.test(text) || !place.has(text)) continue;
    const button = make("button", text, { type: "button", class: "name" });
    button.addEventListener("click", () => open(text));
    cell.replaceChildren(button);
  }
  const fromAddress = () => {
    const found = NAME.exec(decodeURIComponent(location.hash.slice(1)));
    if (found) open(found[0], { focus: false });
  };
  addEventListener("hashchange", fromAddress);
  fromAddress();
}
