"use strict";
// Everything is in the page without this script; it shows what belongs to the chosen token, and
// colors the text by another unit.
const classes = ["c4", "c3", "c2", "c1", "h0", "h1", "h3", "h5", "h7"];
for (const text of document.querySelectorAll(".tokens")) {
  const tokens = [...text.querySelectorAll("span")];
  if (!tokens.some((token) => token.title)) continue;
  const panel = document.createElement("p");
  panel.className = "panel";
  panel.textContent = "Point at a token, or use the arrow keys.";
  text.after(panel);
  text.tabIndex = 0;
  text.setAttribute("role", "listbox");
  tokens.forEach((token, index) => {
    token.id = text.id + "-" + index;
    token.setAttribute("role", "option");
    token.setAttribute("aria-selected", "false");
    token.dataset.about = token.title;
    token.setAttribute("aria-label", token.textContent + ": " + token.title);
    token.removeAttribute("title");
  });
  let chosen = -1;
  const choose = (index) => {
    if (index < 0 || index >= tokens.length) return;
    if (chosen >= 0) {
      tokens[chosen].classList.remove("chosen");
      tokens[chosen].setAttribute("aria-selected", "false");
    }
    chosen = index;
    const token = tokens[index];
    token.classList.add("chosen");
    token.setAttribute("aria-selected", "true");
    text.setAttribute("aria-activedescendant", token.id);
    const word = document.createElement("strong");
    word.textContent = token.textContent;
    panel.replaceChildren(word, " " + token.dataset.about);
  };
  const under = (event) => tokens.indexOf(event.target.closest("span"));
  text.addEventListener("mouseover", (event) => choose(under(event)));
  text.addEventListener("click", (event) => choose(under(event)));
  text.addEventListener("focus", () => choose(Math.max(chosen, 0)));
  text.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 10, ArrowLeft: -1, ArrowUp: -10 };
    const ends = { Home: 0, End: tokens.length - 1 };
    const next = event.key in ends ? ends[event.key] : chosen + steps[event.key];
    if (Number.isNaN(next)) return;
    event.preventDefault();
    choose(Math.min(Math.max(next, 0), tokens.length - 1));
    tokens[chosen].scrollIntoView({ block: "nearest" });
  });
}
for (const choice of document.querySelectorAll(".choice")) {
  choice.hidden = false;
  const select = choice.querySelector("select");
  const tokens = document.getElementById(select.dataset.text).querySelectorAll("span");
  select.addEventListener("change", () => {
    const option = select.selectedOptions[0];
    const colors = option.dataset.colors;
    choice.previousElementSibling.textContent = option.textContent;
    tokens.forEach((token, index) => { token.className = classes[colors[index] ?? 4]; });
  });
}
