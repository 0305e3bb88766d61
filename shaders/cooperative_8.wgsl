// Cooperative matrices of 8 x 8: those of Mesa's software adapter.
const MATRIX = 8u;
// Terms of the sums that a tile holds.
const DEPTH = 16u;
// Eight subgroups of 8.
const INVOCATIONS = 64u;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sum = coop_mat8x8<f32, C>;
