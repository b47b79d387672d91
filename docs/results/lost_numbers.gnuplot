# Draws ../images/lost-numbers.svg: gnuplot lost_numbers.gnuplot
# Recipe paper, but for the last panel; real MNIST and squares, 40,000 images, 16 and 16 channels, learning rate 3e-4, one
# thread of a CPU. A line an epoch: its number, then the share of test images of 1 to 10 squares that are answered right, %.
$run1 << EOD
1 54.4 59.4 23.0 30.2 24.2 38.3 0.5 0.5 0.0 98.4
2 97.1 92.9 78.6 66.3 36.8 51.3 59.0 9.8 1.0 77.2
3 99.0 94.3 93.9 70.8 73.1 39.4 52.5 40.7 0.0 86.0
4 100.0 92.5 91.8 77.2 67.6 64.2 57.9 59.3 1.5 83.4
5 99.5 96.7 96.4 75.7 71.4 55.4 42.1 67.2 2.5 85.5
6 99.5 96.7 93.4 78.7 79.7 74.6 61.7 51.5 26.2 75.6
7 97.6 98.1 96.4 87.1 73.6 69.9 62.8 56.9 31.7 70.5
8 99.5 93.9 90.3 88.1 75.8 69.9 55.2 64.2 32.7 71.0
9 100.0 96.2 94.9 86.1 74.7 68.9 66.1 46.6 42.6 70.5
10 97.6 98.6 96.4 87.6 81.3 65.8 64.5 61.3 33.7 75.6
11 100.0 98.6 95.4 81.7 85.2 72.0 63.4 64.7 50.5 59.1
12 100.0 96.2 94.9 86.6 78.6 63.2 58.5 57.4 37.6 78.2
13 100.0 97.6 93.9 81.7 82.4 73.1 69.9 56.9 54.0 67.9
14 100.0 98.1 96.9 83.7 80.2 76.2 67.2 57.8 58.9 57.5
15 100.0 97.2 96.9 86.6 86.3 74.6 71.6 50.5 54.5 65.8
16 100.0 98.1 96.4 85.6 81.9 71.0 61.7 45.1 55.9 68.4
EOD
$run2 << EOD
1 95.0 63.6 41.4 34.7 6.0 60.1 0.0 0.5 7.5 89.8
2 100.0 90.9 80.5 64.8 49.8 58.7 0.0 22.0 24.1 70.4
3 98.5 97.7 87.4 82.7 66.7 55.4 0.0 60.3 16.6 61.1
4 100.0 96.4 80.5 67.3 54.2 75.1 0.0 54.5 11.2 80.6
5 100.0 97.3 89.1 87.2 70.1 72.8 0.0 68.4 35.8 71.3
6 100.0 96.8 92.5 85.2 72.1 71.8 0.0 74.2 20.3 63.0
7 99.0 88.2 66.1 62.2 69.7 82.6 0.0 63.2 48.1 66.2
8 100.0 96.4 92.5 85.7 75.1 85.4 0.0 67.9 52.4 44.4
9 100.0 97.3 94.3 79.6 78.6 83.1 0.0 64.6 50.8 54.2
10 100.0 96.4 82.8 84.7 62.2 76.5 0.0 45.0 35.3 84.3
11 99.0 97.7 89.1 79.6 72.6 52.1 0.0 67.0 26.2 36.6
12 100.0 98.6 93.1 85.7 80.6 82.2 0.0 57.4 49.2 68.5
13 100.0 98.6 92.5 88.8 74.1 85.4 0.0 67.0 48.1 64.8
14 100.0 97.7 86.8 78.6 74.1 85.9 0.0 49.3 36.4 80.6
15 100.0 98.6 93.1 88.8 80.6 82.6 0.5 61.7 52.9 60.6
16 100.0 98.2 93.1 87.2 75.1 75.1 33.8 52.6 48.1 38.0
EOD
$run3 << EOD
1 63.5 41.0 13.9 13.6 13.9 23.4 1.6 4.5 87.9 0.5
2 69.7 61.0 22.8 22.0 21.1 22.5 1.0 0.9 95.5 0.0
3 77.5 88.0 48.0 19.9 44.8 38.3 0.0 0.0 89.4 0.0
4 98.9 85.0 82.7 20.9 42.8 55.0 0.0 0.0 91.0 0.0
5 100.0 94.5 58.9 61.8 35.1 67.0 0.0 0.0 92.0 0.0
6 100.0 97.0 81.7 72.8 39.7 74.6 0.0 0.0 90.5 0.0
7 100.0 95.0 88.1 67.5 40.2 73.7 0.0 0.5 87.9 0.0
8 100.0 96.5 89.6 70.2 49.0 78.0 0.0 0.0 91.0 0.0
9 100.0 98.0 91.6 84.3 57.2 64.6 0.5 0.0 94.5 0.0
10 100.0 95.0 86.6 77.5 42.3 86.6 0.5 0.0 94.5 0.0
11 100.0 97.0 92.6 86.4 56.2 82.8 0.0 0.0 91.0 0.0
12 100.0 95.0 92.1 83.8 58.8 80.4 0.5 0.0 96.0 0.0
13 100.0 97.0 92.6 83.8 69.1 74.2 0.5 0.0 94.5 0.0
14 100.0 98.5 90.6 82.2 70.1 77.0 0.5 0.0 94.5 0.0
15 100.0 99.0 90.6 85.9 44.8 86.6 0.5 0.0 94.5 0.0
16 100.0 97.5 92.1 80.6 70.1 79.9 0.5 0.0 91.0 0.0
EOD
$run4 << EOD
1 98.0 82.7 51.7 30.1 30.8 11.7 28.9 14.4 11.2 89.8
EOD
set terminal svg noenhanced size 1180,330 font 'Sans,11' background rgb 'white'
set output '../images/lost-numbers.svg'
set multiplot layout 1,4 margins .055,.9,.16,.88 spacing .025
set grid
set xlabel 'epoch'
set xrange [1:16]
set yrange [-2:102]
set xtics 5
set key off
set style data linespoints
set pointsize .4
colour(n) = word('#bdbdbd #969696 #737373 #525252 #9ecae1 #6baed6 #d55e00 #e69f00 #009e73 #cc79a7', n)
width(n) = n > 6 ? 2.5 : 1.2
set ylabel 'right answers, %'
set title 'MoE, seed 1: none lost'
plot for [n = 1 : 10] $run1 using 1:(column(n + 1)) pointtype 7 linewidth width(n) linecolor rgb colour(n) title sprintf('%d', n)
unset ylabel
set format y ''
set title 'MoE, seed 0: 7 found again in epoch 16'
plot for [n = 1 : 10] $run2 using 1:(column(n + 1)) pointtype 7 linewidth width(n) linecolor rgb colour(n) title sprintf('%d', n)
set title 'baseline, seed 2: 7, 8 and 10 lost'
plot for [n = 1 : 10] $run3 using 1:(column(n + 1)) pointtype 7 linewidth width(n) linecolor rgb colour(n) title sprintf('%d', n)
set key at screen .995, .85 right top title 'squares'
set title 'MoE, seed 0, logits in the loss'
plot for [n = 1 : 10] $run4 using 1:(column(n + 1)) pointtype 7 linewidth width(n) linecolor rgb colour(n) title sprintf('%d', n)
unset multiplot
