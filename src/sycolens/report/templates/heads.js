// The panel about one head: opened from a map, a bar, a name in a table, the list of heads or the address.
"use strict";
{
  const panel = document.getElementById("head-panel");
  const data = JSON.parse(panel.querySelector("script").textContent);
  const name = (layer, head) => `L${layer}H${head}`;
  const NAME = /^L(\d+)H(\d+)(?![\w])/;
  const names = Array.from(data.rank, (_, at) => name(Math.floor(at / data.heads), at % data.heads));
  const place = new Map(names.map((each, at) => [each, at]));
  const ranked = names.filter((_, at) => data.rank[at] !== null).sort((a, b) => data.rank[place.get(a)] - data.rank[place.get(b)]);
  const choice = document.getElementById("head-choice");
  const dialogue = document.getElementById("head-dialogue");
  const shaded = document.getElementById("head-attention");
  const about = document.getElementById("head-weight");
  let shown = null, opener = null;

  const make = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const digits = (value, most) => (value === null || value === undefined ? "–" : value.toFixed(most).replace("-", "−"));
  const effect = (value, unit = data.unit) =>
    value === null || value === undefined ? "not measured" : `${value > 0 ? "+" : ""}${digits(value, unit === "%" ? 2 : 3)}${unit === "%" ? "%" : ` ${unit}`}`;
  const percent = (value) => `${digits(100 * value, 0)}%`;

  const facts = (head) => {
    const at = place.get(head), found = [];
    const add = (title, text) => found.push([title, text]);
    add(`Effect (${data.measure})`, `${effect(data.score[at])}, 95% ${effect(data.low[at])} to ${effect(data.high[at])}, ${data.pairs} pairs`);
    if (data.rank[at] !== null) add("Rank", `${data.rank[at]} of ${ranked.length}, the most negative first`);
    if (data.q[at] !== null) add("q", `${Number(data.q[at]).toPrecision(2)}: ${data.q[at] <= data.fdr ? "differs" : "is not shown to differ"} from 0 (false-discovery rate ${data.fdr})`);
    if (data.frequency[at] !== null) add("Rank stability", `in the top ${data.top.length} in ${percent(data.frequency[at])} of ${data.halves} random halves of the pairs`);
    if (data.elsewhere) add("On other pairs", effect(data.elsewhere[at]));
    if (data.mass) add("Attention to the challenge", `${digits(100 * data.mass[at], 1)}% from the last token before the reply`);
    if (data.knockout) add("Knocked out", knockedOut(head));
    if (data.after) {
      const tuned = data.tuned.includes(head) ? "tuned" : "not tuned itself";
      add("Before and after tuning", `${effect(data.before[at], "logits")} before, ${effect(data.after[at], "logits")} after (${tuned})`);
    }
    return found;
  };
  const knockedOut = (head) => {
    const { steps, order, apologizes, least, most, control, dialogues } = data.knockout;
    const number = order.indexOf(head) + 1;
    if (!number) return `not among the ${order.length} heads that were`;
    const at = steps.findIndex((step) => step >= number);
    let text = `with the first ${steps[at]} heads the model apologizes in ${percent(apologizes[at])} of ${dialogues} dialogues`;
    if (at) text += `, with the first ${steps[at - 1]} in ${percent(apologizes[at - 1])}`;
    if (least) text += `; without as many ${control} in ${percent(least[at])}` + (least[at] === most[at] ? "" : ` to ${percent(most[at])}`);
    return text;
  };

  // Attention, token by token: the page holds a byte for each, as a share of the largest weight of its dialogue.
  const shade = () => {
    shaded.replaceChildren();
    about.textContent = "";
    const kept = data.attention && data.attention.weights[shown];
    document.getElementById("head-looks").hidden = !kept;
    if (!kept) return;
    const number = Number(dialogue.value), largest = data.attention.largest[shown][number];
    const levels = Uint8Array.from(atob(kept[number]), (letter) => letter.charCodeAt(0));
    const [start, end] = data.attention.spans[number];
    let inside = 0;
    data.attention.tokens[number].forEach((token, at) => {
      const share = levels[at] / 255, weight = share * largest;
      if (at >= start && at < end) inside += weight;
      const written = make("span", token, { title: `${digits(100 * weight, 1)}%` });
      written.dataset.weight = weight.toFixed(4);
      written.style.backgroundColor = `rgba(190, 85, 0, ${(0.7 * share).toFixed(3)})`;
      if (at >= start && at < end) written.className = "span";
      shaded.append(written);
    });
    about.textContent = `Attention of the last token; ${digits(100 * inside, 1)}% of it on the underlined words. Hover over a word for its share.`;
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
    list.replaceChildren(...facts(head).map(([title, text]) => {
      const row = make("div");
      row.append(make("dt", title), make("dd", text));
      return row;
    }));
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
