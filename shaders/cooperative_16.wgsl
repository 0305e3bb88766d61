// Cooperative matrices of 16 x 16: those of NVIDIA's and AMD's GPUs.
const MATRIX = 16u;
// Terms of the sums that a tile holds.
const DEPTH = 32u;
// Eight subgroups of 32, or four of 64.
const INVOCATIONS = 256u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;
